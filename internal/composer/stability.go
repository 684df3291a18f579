package composer

import "strings"

// Stability is how finished a version claims to be. Greater is more stable.
type Stability uint8

// The stabilities of Composer, from the least stable.
const (
	Dev Stability = iota
	Alpha
	Beta
	RC
	Stable
)

// String is the name Composer uses in minimum-stability: dev, alpha, beta, RC or stable.
func (s Stability) String() string {
	switch s {
	case Dev:
		return "dev"
	case Alpha:
		return "alpha"
	case Beta:
		return "beta"
	case RC:
		return "RC"
	}
	return "stable"
}

// StabilityOf reads the stability from a version, normalized or not. It never fails: what is not recognized counts as
// stable, as in Composer. A patch release (1.0-p1) is stable.
func StabilityOf(version string) Stability {
	if i := strings.IndexByte(version, '#'); i >= 0 && i < len(version)-1 {
		version = version[:i]
	}
	if strings.HasPrefix(version, "dev-") || strings.HasSuffix(version, "-dev") {
		return Dev
	}
	// The suffix stands at the end or before the build metadata: take the first place from which one reaches there.
	for i := range len(version) {
		x, n := scanSuffix(version[i:])
		if i+n < len(version) && version[i+n] != '+' {
			continue
		}
		switch {
		case x.dev:
			return Dev
		case equalFold(x.stability, "beta"), equalFold(x.stability, "b"):
			return Beta
		case equalFold(x.stability, "alpha"), equalFold(x.stability, "a"):
			return Alpha
		case equalFold(x.stability, "rc"):
			return RC
		}
		return Stable
	}
	return Stable
}

// stabilityFlag finds a trailing @dev, @alpha, @beta, @RC or @stable in any case. It returns the text before it and
// the flag without its @; ok is false if there is none.
func stabilityFlag(s string) (rest, flag string, ok bool) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s, "", false
	}
	flag = s[at+1:]
	for _, word := range [...]string{"stable", "rc", "beta", "alpha", "dev"} {
		if equalFold(flag, word) {
			return s[:at], flag, true
		}
	}
	return s, "", false
}
