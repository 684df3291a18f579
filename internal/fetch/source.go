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
	refuse := func(format string, args ...any) (source, error) {
		return source{}, &Error{Kind: KindURL, Message: "the repository URL cannot be used: " + fmt.Sprintf(format, args...)}
	}
	text := strings.TrimSpace(raw)
	// Folders may have spaces in their names; in URLs they are escaped.
	local := strings.HasPrefix(strings.TrimPrefix(text, "git::"), "/")
	switch {
	case text == "":
		return refuse("it is empty")
	case len(text) > maxURL:
		return refuse("it is longer than %d characters", maxURL)
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == ' ' && !local || r == 0x7f }):
		return refuse("it contains white space or control characters")
	}
	text = strings.TrimPrefix(text, "git::")
	if m := forced.FindStringSubmatch(text); m != nil {
		return refuse("the transport %q is not supported", m[1])
	}
	if strings.HasPrefix(text, "-") {
		return refuse("it begins with a dash")
	}

	var s source
	switch {
	case strings.Contains(text, "://"):
		u, err := url.Parse(text)
		if err != nil {
			return refuse("it is not a valid URL")
		}
		if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return refuse("it has a query or a fragment; branch and commit are given separately")
		}
		s = source{Scheme: strings.ToLower(u.Scheme), Host: u.Hostname(), Port: u.Port(), Path: u.EscapedPath()}
		if u.User != nil {
			s.User = u.User.Username()
			s.Password, _ = u.User.Password()
		}
	case strings.HasPrefix(text, "/"):
		s = source{Scheme: "file", Path: (&url.URL{Path: text}).EscapedPath()}
	case scpLike.MatchString(text):
		m := scpLike.FindStringSubmatch(text)
		s = source{Scheme: "ssh", User: m[1], Host: m[2], Path: (&url.URL{Path: "/" + strings.TrimPrefix(m[3], "/")}).EscapedPath()}
	case shortHost.MatchString(text) && !strings.HasPrefix(text, "."):
		u, err := url.Parse("https://" + text)
		if err != nil || u.RawQuery != "" || u.Fragment != "" {
			return refuse("it is not a valid URL")
		}
		s = source{Scheme: "https", Host: u.Hostname(), Port: u.Port(), Path: u.EscapedPath()}
	default:
		return refuse("it is none of https://host/path, ssh://user@host/path and user@host:path")
	}

	plain, err := url.PathUnescape(s.Path)
	if err != nil || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return refuse("its path contains control characters")
	}
	// go-getter reads // as the border of a folder inside of the repository.
	s.Path = path.Clean("/" + s.Path)
	if s.Path == "/" {
		return refuse("it names no repository")
	}
	switch s.Scheme {
	case "https":
	case "http":
		if !policy.AllowHTTP {
			return refuse("http:// is not encrypted; use https://")
		}
	case "ssh":
		if s.Password != "" {
			return refuse("a password does not work with ssh; use a private key")
		}
		if s.User != "" && !userName.MatchString(s.User) {
			return refuse("its user name has characters that are not allowed")
		}
	case "file":
		if !policy.AllowLocal {
			return refuse("local paths are not allowed here")
		}
		if s.Host != "" && s.Host != "localhost" || s.User != "" || s.Port != "" {
			return refuse("a local path has no host")
		}
		s.Host = ""
		return s, nil
	default:
		return refuse("the scheme %q is not supported; use https or ssh", s.Scheme)
	}
	if address, err := netip.ParseAddr(s.Host); err == nil {
		if policy.Network.Check(address) != nil {
			return source{}, policy.refusal(s.Host, policy.Network.Check(address))
		}
	} else if !hostName.MatchString(s.Host) || len(s.Host) > 253 {
		return refuse("%q is not a host name", s.Host)
	}
	if s.Port != "" {
		if port, err := strconv.ParseUint(s.Port, 10, 16); err != nil || port == 0 {
			return refuse("%q is not a port", s.Port)
		}
	}
	return s, nil
}
