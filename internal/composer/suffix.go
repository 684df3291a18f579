package composer

// A suffix is what may follow the numbers of a version: -beta.2, RC1, _p3, .dev, -alpha2.1-dev.
type suffix struct {
	// stability is the word as written (b, RC, patch, ...), without expansion, or "".
	stability string
	// number is what follows the word, with its separators: "2" or ".2.1"; "" if absent.
	number string
	// dev is set by a trailing dev.
	dev bool
}

// stabilityWords are the words of a suffix. A longer word stands before its own prefix.
var stabilityWords = [...]string{"stable", "beta", "b", "rc", "alpha", "a", "patch", "pl", "p"}

// scanSuffix reads a suffix from the start of s and returns it with its length; a suffix may be empty, so it never
// fails. The caller decides what may follow.
//
// The reference is a regular expression whose every part is optional. No backtracking is needed: each part is
// delimited by characters that no later part can begin with.
func scanSuffix(s string) (suffix, int) {
	var x suffix
	i := 0
	if i < len(s) && (s[i] == '.' || s[i] == '_' || s[i] == '-') {
		i++
	}
	for _, word := range stabilityWords {
		if hasPrefixFold(s[i:], word) {
			x.stability = s[i : i+len(word)]
			i += len(word)
			begin := i
			for i < len(s) {
				j := i
				if s[j] == '.' || s[j] == '-' {
					j++
				}
				n := digitsAt(s, j)
				if n == 0 {
					break
				}
				i = j + n
			}
			x.number = s[begin:i]
			break
		}
	}
	if n := scanDev(s[i:]); n > 0 {
		x.dev = true
		i += n
	}
	return x, i
}

// scanDev returns the length of "dev", ".dev" or "-dev" at the start of s, 0 if there is none.
func scanDev(s string) int {
	i := 0
	if s != "" && (s[0] == '.' || s[0] == '-') {
		i = 1
	}
	if hasPrefixFold(s[i:], "dev") {
		return i + len("dev")
	}
	return 0
}

// expandStability gives the long form of a word of a suffix.
func expandStability(word string) string {
	switch {
	case equalFold(word, "a"):
		return "alpha"
	case equalFold(word, "b"):
		return "beta"
	case equalFold(word, "p"), equalFold(word, "pl"):
		return "patch"
	case equalFold(word, "rc"):
		return "RC"
	case equalFold(word, "alpha"):
		return "alpha"
	case equalFold(word, "beta"):
		return "beta"
	case equalFold(word, "patch"):
		return "patch"
	}
	return "stable"
}

// equalFold compares without regard to ASCII case; lower must be lower case.
func equalFold(s, lower string) bool { return len(s) == len(lower) && hasPrefixFold(s, lower) }
