package composer

import (
	"math"
	"strings"
)

// Version is a normalized version, ready to be compared and matched without further allocation. The zero value is no
// version; make one with ParseVersion or FromNormalized. A Version is immutable and safe for concurrent use.
type Version struct {
	normal string
	branch bool
	key    []uint64
}

// ParseVersion normalizes a version as Normalize does. The error is a *ParseError.
func ParseVersion(version string) (Version, error) {
	normal, err := Normalize(version)
	if err != nil {
		return Version{}, err
	}
	return FromNormalized(normal), nil
}

// FromNormalized makes a Version of text that Normalize or NormalizeBranch has returned before, for example from a
// database. It does not check it.
func FromNormalized(normal string) Version {
	if strings.HasPrefix(normal, "dev-") {
		return Version{normal: normal, branch: true}
	}
	return Version{normal: normal, key: compareKey(normal)}
}

// String returns the normal form, such as 1.2.0.0-beta1.
func (v Version) String() string { return v.normal }

// IsBranch reports whether the version is a named branch (dev-main). Such versions have no order: they are only equal
// or not. A numeric branch (1.x-dev) is not one of them.
func (v Version) IsBranch() bool { return v.branch }

// Stability returns how finished the version claims to be.
func (v Version) Stability() Stability { return StabilityOf(v.normal) }

// Compare orders two versions: -1, 0 or 1 if v stands before, beside or after other. Between numbered versions it is
// PHP's version_compare, dev < alpha < beta < RC < (none) < patch, by which 1.0.0.0 and 01.0.0.0 are equal. For
// sorting only, named branches stand before all numbered versions and among themselves by name; constraints never
// order them.
func (v Version) Compare(other Version) int {
	switch {
	case v.branch && other.branch:
		return strings.Compare(v.normal, other.normal)
	case v.branch:
		return -1
	case other.branch:
		return 1
	}
	return compareKeys(v.key, other.key)
}

// The elements of a comparison key, in version_compare's order. A version that has ended counts as keyEnd: after every
// pre-release word, before every number and before patch. Numbers begin at keyNumber.
const (
	keyUnknown uint64 = iota
	keyDev
	keyAlpha
	keyBeta
	keyRC
	keyEnd
	keyNumber
	keyPatch = math.MaxUint64
)

// compareKey splits a version as version_compare does, at every character that is no letter or digit and at every
// change between letters and digits, and gives each element its rank.
func compareKey(normal string) []uint64 {
	key := make([]uint64, 0, 8)
	for i := 0; i < len(normal); {
		c := normal[i]
		switch {
		case isDigit(c):
			n := digitsAt(normal, i)
			key = append(key, keyNumber+clampedNumber(normal[i:i+n]))
			i += n
		case isLetter(c):
			begin := i
			for i < len(normal) && isLetter(normal[i]) {
				i++
			}
			key = append(key, wordRank(normal[begin:i]))
		default:
			i++
		}
	}
	return key
}

// clampedNumber reads digits as C's strtol does, which PHP uses: a number too large counts as the largest one.
func clampedNumber(digits string) uint64 {
	digits = strings.TrimLeft(digits, "0")
	if len(digits) > 19 {
		return math.MaxInt64
	}
	var n uint64 // 19 digits cannot overflow it
	for i := range len(digits) {
		n = n*10 + uint64(digits[i]-'0')
	}
	return min(n, math.MaxInt64)
}

// wordRank ranks a word by its beginning, as version_compare does: "patch" counts because it begins with p. Case
// matters, except for RC.
func wordRank(word string) uint64 {
	switch {
	case strings.HasPrefix(word, "dev"):
		return keyDev
	case strings.HasPrefix(word, "a"):
		return keyAlpha
	case strings.HasPrefix(word, "b"):
		return keyBeta
	case strings.HasPrefix(word, "RC"), strings.HasPrefix(word, "rc"):
		return keyRC
	case strings.HasPrefix(word, "p"):
		return keyPatch
	}
	return keyUnknown
}

// compareKeys compares element by element; the one that ends first goes on with keyEnd.
func compareKeys(a, b []uint64) int {
	for i := range max(len(a), len(b)) {
		x, y := keyEnd, keyEnd
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	return 0
}
