package rsql

import "strings"

// Fold lower-cases the letters A to Z and leaves every other character alone, as lower() does on SQLite and under the
// collation "C" on PostgreSQL. A column that holds folded text must be folded by this function: strings.ToLower also
// changes letters that the databases leave alone.
func Fold(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, text)
}
