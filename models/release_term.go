package models

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What searches for releases are answered from. A change of one of these functions takes a migration that writes the
// tables release_texts and release_terms anew.

// maxReleaseText is how many bytes of a release's names and description are searched.
const maxReleaseText = 64 << 10

// releaseText is the text of a release that is searched: its names and its description in lower case. Folding here and
// not in the database makes both databases find the same.
func releaseText(namespace, application, description string) string {
	// The separator keeps a text that spans both from being found.
	text := strings.ToLower(namespace + "/" + application + "\x1f" + description)
	if !storable(text) {
		text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", " "), " ")
	}
	return shorten(text, maxReleaseText)
}

// searchGrams are the numbers of all pairs and triples of characters in a text, sorted. Two that differ may share a
// number, so what is found through them is compared afterwards.
func searchGrams(text string) []int32 {
	runes := []rune(text)
	out := make([]int32, 0, 2*len(runes))
	for n := 2; n <= 3; n++ {
		for i := 0; i+n <= len(runes); i++ {
			out = append(out, gram(runes[i:i+n]))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func gram(runes []rune) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(runes)))
	return int32(h.Sum32()) //nolint:gosec // all 32 bits are wanted, whatever their sign
}

// maxQueryGrams bounds how many n-grams of a long text are looked up. The rest would hardly narrow it down.
const maxQueryGrams = 16

// queryGrams are the n-grams that find a text: its triples, or the only pair of a shorter one; none for one character.
func queryGrams(text string) []string {
	if n := utf8.RuneCountInString(text); n < 3 {
		if n == 2 {
			return []string{text}
		}
		return nil
	}
	runes := []rune(text)
	var out []string
	step := max(1, (len(runes)-2+maxQueryGrams-1)/maxQueryGrams)
	for i := 0; i+3 <= len(runes); i += step {
		out = append(out, string(runes[i:i+3]))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// arrayOf writes numbers as PostgreSQL reads an array.
func arrayOf(numbers []int32) string {
	b := []byte{'{'}
	for i, n := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(append(b, '}'))
}

// providesTerm stands for the releases that provide an interface.
func providesTerm(name string) string { return termOf("provides", name) }

// metadataTerm stands for the releases whose own metadata has a key with a value.
func metadataTerm(key, value string) string { return termOf("metadata", key, value) }

func termOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
