package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	getter "github.com/hashicorp/go-getter"

	"slipway/internal/netguard"
)

var checksum = regexp.MustCompile(`^(md5:[0-9a-fA-F]{32}|sha1:[0-9a-fA-F]{40}|sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128})$`)

// getterParameters are what go-getter would take out of a query and act on.
var getterParameters = []string{"archive", "checksum", "filename", "ref", "sshkey", "depth", "terraform-get"}

// check refuses what must not even reach the child process.
func (d Download) check(policy Policy) error {
	if d.Checksum != "" && !checksum.MatchString(d.Checksum) {
		return &Error{KindChecksum, "the checksum is not of the form sha256:<hexadecimal digits>"}
	}
	if !filepath.IsLocal(d.File) || filepath.Clean(d.File) == "." || strings.ContainsRune(d.File, 0) {
		return &Error{KindURL, "the file name of a download must be a path below the source folder"}
	}
	_, err := d.parse(policy)
	return err
}

func (d Download) parse(policy Policy) (*url.URL, error) {
	refuse := func(why string) (*url.URL, error) {
		return nil, &Error{KindURL, "the download URL cannot be used: " + why}
	}
	text := strings.TrimSpace(d.URL)
	if text == "" || len(text) > maxURL || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return refuse("it is empty, too long, or contains white space")
	}
	if forced.MatchString(text) {
		return refuse("transports (name::) are not supported")
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return refuse("it is not a valid URL")
	}
	switch strings.ToLower(u.Scheme) {
	case "https":
	case "http":
		if !policy.AllowHTTP {
			return refuse("http:// is not encrypted; use https://")
		}
	default:
		return refuse("only https:// is supported")
	}
	if u.Fragment != "" || u.Hostname() == "" {
		return refuse("it has no host, or has a fragment")
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := policy.Network.Check(address); err != nil {
			return nil, policy.refusal(u.Hostname(), err)
		}
	} else if !hostName.MatchString(u.Hostname()) {
		return refuse("its host is not a host name")
	}
	query := u.Query()
	for _, name := range getterParameters {
		if query.Has(name) {
			return refuse(fmt.Sprintf("it has the parameter %q, which is reserved", name))
		}
	}
	// go-getter reads // in a path as the border of a folder in an archive.
	if strings.Contains(u.EscapedPath(), "//") {
		return refuse("its path contains //")
	}
	return u, nil
}

func (j job) download(ctx context.Context) error {
	d := *j.Download
	if err := d.check(j.Policy); err != nil {
		return err
	}
	u, err := d.parse(j.Policy)
	if err != nil {
		return err
	}
	// The workspace holds files of a repository: a symbolic link in it must not lead the download out of it. It is
	// written beside and moved in through os.Root.
	part := filepath.Join(j.Scratch, "download")
	if d.Checksum != "" {
		query := u.Query()
		query.Set("checksum", d.Checksum)
		u.RawQuery = query.Encode()
	}
	transport := j.Policy.Network.Transport()
	transport.ResponseHeaderTimeout = time.Minute
	defer transport.CloseIdleConnections()
	client := getter.Client{
		Ctx: ctx, Src: u.String(), Dst: part, Mode: getter.ClientModeFile,
		Detectors:     []getter.Detector{},
		Decompressors: map[string]getter.Decompressor{},
		Getters:       map[string]getter.Getter{},
	}
	client.Getters["https"] = &getter.HttpGetter{
		Client:                &http.Client{Transport: transport, CheckRedirect: j.redirect},
		DoNotCheckHeadFirst:   true,
		XTerraformGetDisabled: true,
		ReadTimeout:           j.Policy.Timeout,
		MaxBytes:              j.Policy.MaxBytes, // go-getter cuts off silently; the rest is seen by its size
	}
	if j.Policy.AllowHTTP {
		client.Getters["http"] = client.Getters["https"]
	}
	if err := client.Get(); err != nil {
		if info, statErr := os.Stat(part); statErr == nil && info.Size() >= j.Policy.MaxBytes {
			return tooLarge(j.Policy.MaxBytes)
		}
		return j.explainDownload(u, err)
	}
	if info, err := os.Stat(part); err != nil {
		return err
	} else if info.Size() >= j.Policy.MaxBytes {
		return tooLarge(j.Policy.MaxBytes)
	}
	return place(j.Dir, d.File, part)
}

// redirect allows up to ten redirects, none of them from https to http. The addresses are checked when dialled.
func (j job) redirect(r *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || !j.Policy.AllowHTTP || via[len(via)-1].URL.Scheme == "https") {
		return &Error{KindRefused, fmt.Sprintf("the download leads to %s over %s://, which is not allowed", r.URL.Hostname(), r.URL.Scheme)}
	}
	return nil
}

func (j job) explainDownload(u *url.URL, err error) error {
	var known *Error
	var refused *netguard.RefusedError
	var sum *getter.ChecksumError
	var name *net.DNSError
	host := u.Hostname()
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		return j.Policy.refusal(refused.Host, err)
	case errors.As(err, &sum):
		return &Error{KindChecksum, fmt.Sprintf("the download from %s does not have the expected checksum", host)}
	case errors.As(err, &name) && name.IsNotFound:
		return &Error{KindUnreachable, fmt.Sprintf("the host %s does not exist", name.Name)}
	case strings.Contains(err.Error(), "bad response code: "):
		_, code, _ := strings.Cut(err.Error(), "bad response code: ")
		kind := KindUnreachable
		switch {
		case strings.HasPrefix(code, "401"), strings.HasPrefix(code, "403"):
			kind = KindCredentials
		case strings.HasPrefix(code, "4"):
			kind = KindNotFound
		}
		return &Error{kind, fmt.Sprintf("%s answered the download with status %s", host, clip(code))}
	}
	return &Error{KindUnreachable, fmt.Sprintf("the download from %s failed: the connection could not be made or broke off", host)}
}

// place moves a finished download to its path below dir.
func place(dir, name, part string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if folder := filepath.Dir(name); folder != "." {
		if err := root.MkdirAll(folder, 0o755); err != nil {
			return &Error{KindURL, fmt.Sprintf("the folder for %s cannot be made in the source folder", name)}
		}
	}
	file, err := os.Open(part)
	if err != nil {
		return err
	}
	defer file.Close()
	_ = root.Remove(name)
	target, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return &Error{KindURL, fmt.Sprintf("%s cannot be written in the source folder", name)}
	}
	if _, err := target.ReadFrom(file); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
