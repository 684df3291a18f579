package fetch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"slipway/internal/netguard"
)

// Kind tells what went wrong, for programs.
type Kind string

// Kinds of errors.
const (
	KindURL         Kind = "url"         // the URL is not one that may be fetched
	KindBranch      Kind = "branch"      // the branch does not exist or is no name
	KindCommit      Kind = "commit"      // the commit does not exist or is no id
	KindNotFound    Kind = "not-found"   // there is no such repository or file, or it is hidden
	KindCredentials Kind = "credentials" // the key or password was not accepted, or is not readable
	KindHostKey     Kind = "host-key"    // the host is not the known one
	KindRefused     Kind = "refused"     // the address is not allowed
	KindUnreachable Kind = "unreachable" // no connection
	KindTimeout     Kind = "timeout"     // it took too long
	KindTooLarge    Kind = "too-large"   // it is larger than allowed
	KindChecksum    Kind = "checksum"    // it is not what was expected
	KindTag         Kind = "tag"         // the tag is taken, or the repository refuses it
	KindOther       Kind = "other"
)

// Error is a failure that the person who configured the source can understand and mostly mend. It holds no credentials.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func (p Policy) refusal(host string, err error) *Error {
	why := "its address is not allowed"
	var refused *netguard.RefusedError
	if errors.As(err, &refused) {
		why = "it is " + refused.Why
	}
	return &Error{Kind: KindRefused, Message: fmt.Sprintf("connecting to %s is not allowed: %s", host, why)}
}

func tooLarge(limit int64) *Error {
	return &Error{Kind: KindTooLarge, Message: fmt.Sprintf("the source is larger than the allowed %s", sizeText(limit))}
}

func timedOut(limit time.Duration) *Error {
	return &Error{Kind: KindTimeout, Message: fmt.Sprintf("the source could not be fetched within %s", limit)}
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}

// explain turns what git said into an Error. git runs in the C locale, so its texts are stable enough to look for.
func explain(s source, said string) *Error {
	has := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(said, text) {
				return true
			}
		}
		return false
	}
	switch {
	case has("could not read Username", "could not read Password", "terminal prompts disabled"):
		return &Error{KindCredentials, fmt.Sprintf("the repository %s does not exist, or it needs credentials", s)}
	case has("Authentication failed", "error: 401", "error: 403"):
		return &Error{KindCredentials, fmt.Sprintf("%s did not accept the credentials for %s", s.Host, s)}
	case has("not found", "does not appear to be a git repository", "does not exist", "not a git repository", "error: 404", "No such file or directory"):
		return &Error{KindNotFound, fmt.Sprintf("the repository %s does not exist, or the key may not read it", s)}
	case has("certificate", "SSL", "TLS"):
		return &Error{KindUnreachable, fmt.Sprintf("%s could not be reached safely: its certificate is not trusted", s.Host)}
	case has("transport '", "protocol '"):
		return &Error{KindRefused, "the repository leads to a transport that is not allowed"}
	case has("Could not resolve", "Failed to connect", "Connection refused", "Connection reset", "Connection closed", "timed out", "Could not read from remote repository", "unable to access", "early EOF", "hung up"):
		return &Error{KindUnreachable, fmt.Sprintf("%s could not be reached, or broke off the connection", orElse(s.Host, s.Path))}
	}
	return &Error{KindOther, "git could not fetch the repository: " + lastWords(said)}
}

// lastWords is the most telling line of git's output.
func lastWords(said string) string {
	var last string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if _, rest, ok := strings.Cut(line, "fatal: "); ok {
			return clip(rest)
		}
		if line != "" {
			last = line
		}
	}
	return clip(last)
}

func clip(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if r := []rune(text); len(r) > 300 {
		text = string(r[:300]) + "…"
	}
	return text
}

// orElse names a source without a host by its path.
func orElse(host, path string) string {
	if host == "" {
		return path
	}
	return host
}
