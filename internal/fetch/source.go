package fetch

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxURL is the longest URL that is looked at.
const maxURL = 2048

// source is a checked address of a repository.
type source struct {
	Scheme         string // https, http, ssh or file
	User, Password string // of https, http; of ssh only the user
	Host           string // without port; IPv6 without brackets
	Port           string
	Path           string // escaped as in the URL, begins with /
}

// String is the address for git and for people. Credentials of https are not in it.
func (s source) String() string {
	if s.Scheme == "file" {
		return "file://" + s.Path
	}
	user := ""
	if s.Scheme == "ssh" && s.User != "" {
		user = s.User + "@"
	}
	return s.Scheme + "://" + user + s.hostPort() + s.Path
}

func (s source) hostPort() string {
	host := s.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if s.Port != "" {
		host += ":" + s.Port
	}
	return host
}

var (
	forced    = regexp.MustCompile(`^([A-Za-z0-9_.+-]*)::`)
	scpLike   = regexp.MustCompile(`^(?:([^@/:]+)@)?([^/:@]+):(.*)$`)
	hostName  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	userName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)
	shortHost = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+/.`)
)

// CheckURL reports whether a repository's URL can be fetched under the policy, without connecting to anything. The
// error is for the person who wrote the URL.
func CheckURL(raw string, policy Policy) error {
	_, err := parseSource(raw, policy)
	return err
}

// parseSource reads the forms that git users write: https://host/path, ssh://user@host/path, user@host:path,
// host.tld/path, and file:///path or /path; each may begin with "git::", as go-getter writes it.
func parseSource(raw string, policy Policy) (source, error) {
	text := strings.TrimSpace(raw)
	// Folders may have spaces in their names; in URLs they are escaped.
	local := strings.HasPrefix(strings.TrimPrefix(text, "git::"), "/")
	switch {
	case text == "":
		return source{}, unusable("it is empty")
	case len(text) > maxURL:
		return source{}, unusable("it is longer than %d characters", maxURL)
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == ' ' && !local || r == 0x7f }):
		return source{}, unusable("it contains white space or control characters")
	}
	text = strings.TrimPrefix(text, "git::")
	if m := forced.FindStringSubmatch(text); m != nil {
		return source{}, unusable("the transport %q is not supported", m[1])
	}
	if strings.HasPrefix(text, "-") {
		return source{}, unusable("it begins with a dash")
	}
	s, err := readForm(text)
	if err != nil {
		return source{}, err
	}
	plain, err := url.PathUnescape(s.Path)
	if err != nil || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return source{}, unusable("its path contains control characters")
	}
	// go-getter reads // as the border of a folder inside of the repository.
	s.Path = path.Clean("/" + s.Path)
	if s.Path == "/" {
		return source{}, unusable("it names no repository")
	}
	if err := s.checkScheme(policy); err != nil {
		return source{}, err
	}
	if s.Scheme == "file" {
		s.Host = ""
		return s, nil
	}
	if address, err := netip.ParseAddr(s.Host); err == nil {
		if policy.Network.Check(address) != nil {
			return source{}, policy.refusal(s.Host, policy.Network.Check(address))
		}
	} else if !hostName.MatchString(s.Host) || len(s.Host) > 253 {
		return source{}, unusable("%q is not a host name", s.Host)
	}
	if s.Port != "" {
		if port, err := strconv.ParseUint(s.Port, 10, 16); err != nil || port == 0 {
			return source{}, unusable("%q is not a port", s.Port)
		}
	}
	return s, nil
}

// unusable is the error of a URL that cannot be used, with the reason.
func unusable(format string, args ...any) error {
	return &Error{Kind: KindURL, Message: "the repository URL cannot be used: " + fmt.Sprintf(format, args...)}
}

// readForm takes a URL apart, whichever of the forms it has.
func readForm(text string) (source, error) {
	switch {
	case strings.Contains(text, "://"):
		u, err := url.Parse(text)
		if err != nil {
			return source{}, unusable("it is not a valid URL")
		}
		if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return source{}, unusable("it has a query or a fragment; branch and commit are given separately")
		}
		s := source{Scheme: strings.ToLower(u.Scheme), Host: u.Hostname(), Port: u.Port(), Path: u.EscapedPath()}
		if u.User != nil {
			s.User = u.User.Username()
			s.Password, _ = u.User.Password()
		}
		return s, nil
	case strings.HasPrefix(text, "/"):
		return source{Scheme: "file", Path: (&url.URL{Path: text}).EscapedPath()}, nil
	case scpLike.MatchString(text):
		m := scpLike.FindStringSubmatch(text)
		return source{Scheme: "ssh", User: m[1], Host: m[2], Path: (&url.URL{Path: "/" + strings.TrimPrefix(m[3], "/")}).EscapedPath()}, nil
	case shortHost.MatchString(text) && !strings.HasPrefix(text, "."):
		u, err := url.Parse("https://" + text)
		if err != nil || u.RawQuery != "" || u.Fragment != "" {
			return source{}, unusable("it is not a valid URL")
		}
		return source{Scheme: "https", Host: u.Hostname(), Port: u.Port(), Path: u.EscapedPath()}, nil
	}
	return source{}, unusable("it is none of https://host/path, ssh://user@host/path and user@host:path")
}

// checkScheme refuses what does not go with the source's scheme, or is not allowed by the policy.
func (s source) checkScheme(policy Policy) error {
	switch s.Scheme {
	case "https":
	case "http":
		if !policy.AllowHTTP {
			return unusable("http:// is not encrypted; use https://")
		}
	case "ssh":
		if s.Password != "" {
			return unusable("a password does not work with ssh; use a private key")
		}
		if s.User != "" && !userName.MatchString(s.User) {
			return unusable("its user name has characters that are not allowed")
		}
	case "file":
		if !policy.AllowLocal {
			return unusable("local paths are not allowed here")
		}
		if s.Host != "" && s.Host != "localhost" || s.User != "" || s.Port != "" {
			return unusable("a local path has no host")
		}
	default:
		return unusable("the scheme %q is not supported; use https or ssh", s.Scheme)
	}
	return nil
}
