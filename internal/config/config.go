// Package config is the configuration of every Slipway process: one struct, from a file and the environment, checked
// once at start with all mistakes listed. Secrets print as redacted.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"gopkg.in/yaml.v3"

	"slipway/internal/mailer"
)

// Secret is a value that must not be printed.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[redacted]"
}

// MarshalText hides the value from encoders too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the value.
func (s *Secret) UnmarshalText(b []byte) error { *s = Secret(b); return nil }

// Config is read from a YAML file (the names in the yaml tags) and from the environment, which wins. The defaults suit a
// process behind a reverse proxy on one machine.
type Config struct {
	// Listen is the address of the API.
	Listen string `env:"SLIPWAY_LISTEN" yaml:"listen" envDefault:"127.0.0.1:7770"`
	// MetricsListen is the address of /metrics and pprof, which are never on the API's address. "" turns them off.
	MetricsListen string `env:"SLIPWAY_METRICS_LISTEN" yaml:"metrics_listen"`
	// PublicURL is what links in mails and login methods begin with; "" uses the request's own host.
	PublicURL string `env:"SLIPWAY_PUBLIC_URL" yaml:"public_url"`
	// TrustedProxies are the networks of the reverse proxies before the API, as in 10.0.0.0/8: only what they write into
	// X-Forwarded-For says where a caller comes from. Empty: the connection does.
	TrustedProxies []string `env:"SLIPWAY_TRUSTED_PROXIES" yaml:"trusted_proxies" envSeparator:","`
	// DatabaseURL is postgres://... or sqlite:PATH. It may hold a password.
	DatabaseURL Secret `env:"SLIPWAY_DATABASE_URL" yaml:"database_url"`
	// DatabaseConnections bounds the pool of one process.
	DatabaseConnections int `env:"SLIPWAY_DATABASE_CONNECTIONS" yaml:"database_connections" envDefault:"32"`
	// StorageURL is where files are kept: file:///folder, s3://, gs://, azblob://.
	StorageURL string `env:"SLIPWAY_STORAGE_URL" yaml:"storage_url"`
	// DataDir is for workspaces, known hosts and, where no key is configured, the key file. "" becomes the folder of the
	// database on SQLite, else /var/lib/slipway.
	DataDir string `env:"SLIPWAY_DATA_DIR" yaml:"data_dir"`
	// KeyFile is the keyset that encrypts at rest; "" is keyset.json in DataDir, made at the first start.
	KeyFile string `env:"SLIPWAY_KEY_FILE" yaml:"key_file"`

	// Auth is token (every credential of the identity model), basic (only user name and password), or none (a trusted
	// network: every caller is an administrator).
	Auth string `env:"SLIPWAY_AUTH" yaml:"auth" envDefault:"token"`
	// Development allows to wipe the inventory through the API. Refused unless Auth is none.
	Development bool `env:"SLIPWAY_DEVELOPMENT" yaml:"development"`
	// Policies is a folder that replaces the embedded policies.
	Policies string `env:"SLIPWAY_POLICIES" yaml:"policies"`
	// TLSCert and TLSKey serve the API over TLS.
	TLSCert string `env:"SLIPWAY_TLS_CERT" yaml:"tls_cert"`
	TLSKey  string `env:"SLIPWAY_TLS_KEY" yaml:"tls_key"`

	// TemporalAddress is host:port of the Temporal frontend; TemporalNamespace the namespace there.
	TemporalAddress   string `env:"SLIPWAY_TEMPORAL_ADDRESS" yaml:"temporal_address" envDefault:"127.0.0.1:7233"`
	TemporalNamespace string `env:"SLIPWAY_TEMPORAL_NAMESPACE" yaml:"temporal_namespace" envDefault:"default"`
	// TemporalEncrypt encrypts the payloads in histories with Slipway's key.
	TemporalEncrypt bool `env:"SLIPWAY_TEMPORAL_ENCRYPT" yaml:"temporal_encrypt"`
	// TemporalUIURL is where people reach Temporal's Web UI: its pages may ask the API to decrypt what histories hold.
	TemporalUIURL string `env:"SLIPWAY_TEMPORAL_UI_URL" yaml:"temporal_ui_url"`

	// Queues are the task queues that a worker serves; empty means all.
	Queues []string `env:"SLIPWAY_QUEUES" yaml:"queues" envSeparator:","`
	// Scripts is how many builds and deployments a worker runs at once.
	Scripts int `env:"SLIPWAY_SCRIPTS" yaml:"scripts"`
	// ScriptTimeout bounds one script, ScriptGrace is the time between SIGTERM and SIGKILL, ScriptOutput the bytes that
	// one script may print.
	ScriptTimeout time.Duration `env:"SLIPWAY_SCRIPT_TIMEOUT" yaml:"script_timeout" envDefault:"2h"`
	ScriptGrace   time.Duration `env:"SLIPWAY_SCRIPT_GRACE" yaml:"script_grace" envDefault:"10s"`
	ScriptOutput  int64         `env:"SLIPWAY_SCRIPT_OUTPUT" yaml:"script_output" envDefault:"67108864"`
	// ScriptUsers is a range of user ids, such as 20000-29999, of which each script gets its own; needs root.
	ScriptUsers string `env:"SLIPWAY_SCRIPT_USERS" yaml:"script_users"`
	// ScriptEnv names variables of the worker's environment that scripts get too.
	ScriptEnv []string `env:"SLIPWAY_SCRIPT_ENV" yaml:"script_env" envSeparator:","`

	// AllowLocalSources lets builds read repositories from local paths, AllowPrivateAddresses lets sources, downloads and
	// webhooks reach loopback and private networks.
	AllowLocalSources     bool `env:"SLIPWAY_ALLOW_LOCAL_SOURCES" yaml:"allow_local_sources"`
	AllowPrivateAddresses bool `env:"SLIPWAY_ALLOW_PRIVATE_ADDRESSES" yaml:"allow_private_addresses"`
	// KnownHosts is an OpenSSH known_hosts file; "" accepts a host's key at first sight and keeps it in DataDir.
	KnownHosts string `env:"SLIPWAY_KNOWN_HOSTS" yaml:"known_hosts"`
	// SourceTimeout and SourceLimit (bytes) bound one fetch.
	SourceTimeout time.Duration `env:"SLIPWAY_SOURCE_TIMEOUT" yaml:"source_timeout" envDefault:"10m"`
	SourceLimit   int64         `env:"SLIPWAY_SOURCE_LIMIT" yaml:"source_limit" envDefault:"2147483648"`

	// PackageLimit is the largest package in bytes that may be uploaded.
	PackageLimit int64 `env:"SLIPWAY_PACKAGE_LIMIT" yaml:"package_limit" envDefault:"2147483648"`

	// RateCaller, RateOrganization and RateAddress are how many requests a minute one caller, all callers of one
	// organization and one address without a credential may send to one process; 0 is any number. See api.RateLimits.
	RateCaller       int `env:"SLIPWAY_RATE_CALLER" yaml:"rate_caller" envDefault:"60000"`
	RateOrganization int `env:"SLIPWAY_RATE_ORGANIZATION" yaml:"rate_organization" envDefault:"240000"`
	RateAddress      int `env:"SLIPWAY_RATE_ADDRESS" yaml:"rate_address" envDefault:"6000"`

	// SMTPURL is the mail server, smtp://user:password@host:587 or smtps://; "" sends no mails. SMTPFrom is the sender.
	SMTPURL  Secret `env:"SLIPWAY_SMTP_URL" yaml:"smtp_url"`
	SMTPFrom string `env:"SLIPWAY_SMTP_FROM" yaml:"smtp_from"`
	// DeliveryRetention is how long webhooks and mails that were sent, or given up, can be read.
	DeliveryRetention time.Duration `env:"SLIPWAY_DELIVERY_RETENTION" yaml:"delivery_retention" envDefault:"720h"`

	// WebHook is an address that is told of every upload to the inventory, in all namespaces, with the settings of the hooks
	// that it concerns; "" for none. WebHookSecret signs what goes there.
	WebHook       Secret `env:"SLIPWAY_WEB_HOOK" yaml:"web_hook"`
	WebHookSecret Secret `env:"SLIPWAY_WEB_HOOK_SECRET" yaml:"web_hook_secret"`

	// LogLevel is debug, info, warn or error; LogFormat text or json.
	LogLevel  string `env:"SLIPWAY_LOG_LEVEL" yaml:"log_level" envDefault:"info"`
	LogFormat string `env:"SLIPWAY_LOG_FORMAT" yaml:"log_format" envDefault:"text"`
	// TraceEndpoint is the URL of an OTLP/HTTP collector; "" turns tracing off.
	TraceEndpoint string `env:"SLIPWAY_TRACE_ENDPOINT" yaml:"trace_endpoint"`
}

// Load reads the file, where one is named, then the environment, and checks the result.
func Load(file string) (*Config, error) { return LoadWith(file, func(*Config) {}) }

// LoadWith is Load with a last word: override sees the values before they are checked, as flags do.
func LoadWith(file string, override func(*Config)) (*Config, error) {
	c, unread, err := read(file)
	if err != nil {
		return nil, err
	}
	override(c)
	return c, errors.Join(unread, c.Check())
}

// Defaults is the configuration of a process that nobody configured: neither a file nor the environment is read.
func Defaults() *Config {
	c := new(Config)
	if err := env.ParseWithOptions(c, env.Options{Environment: map[string]string{}}); err != nil {
		panic("config: a default does not parse: " + err.Error())
	}
	c.Scripts = max(4, 2*runtime.NumCPU())
	return c
}

// read gives the configuration before it is checked, and with it what is wrong with single variables: they keep their
// defaults, so that the other mistakes can be listed too.
func read(file string) (c *Config, unread, err error) {
	c = Defaults()
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("read the configuration: %w", err)
		}
		d := yaml.NewDecoder(bytes.NewReader(b))
		d.KnownFields(true)
		if err := d.Decode(c); err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("read the configuration %s: %w", file, err)
		}
	}
	// Defaults are set already: what is not in the environment must stay as the file says.
	unread = variables(env.ParseWithOptions(c, env.Options{DefaultValueTagName: "none"}))
	if c.Scripts == 0 {
		c.Scripts = max(4, 2*runtime.NumCPU())
	}
	return c, unread, nil
}

// variables turns the errors of the library, which name fields of Go, into ones that name the variables.
func variables(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	var errs []error
	for _, err := range all.Errors {
		var one env.ParseError
		if errors.As(err, &one) {
			if f, ok := reflect.TypeFor[Config]().FieldByName(one.Name); ok {
				name := f.Tag.Get("env")
				err = fmt.Errorf("%s is %q, expected %s", name, os.Getenv(name), expected(f.Type))
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func expected(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a time such as 90s, 10m or 2h"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return "a whole number"
	}
	return "a " + t.String()
}

// systemDataDir is where a service keeps its data.
const systemDataDir = "/var/lib/slipway"

// defaultDataDir is where data goes that nobody has named a place for. Whoever starts a server on an SQLite file need not be
// allowed to write anywhere else. What is in the system's folder already is never left behind: the key, without which nothing
// that is sealed could be read, the files of packages, and the keys of the hosts that were accepted. A folder that cannot be
// looked into counts as one that has them, so that the server fails over it instead of beginning anew elsewhere.
func (c *Config) defaultDataDir(system string) string {
	path, ok := c.sqlitePath()
	if !ok {
		return system
	}
	for _, name := range []string{keysetFile, "files", "known_hosts"} {
		if _, err := os.Stat(filepath.Join(system, name)); !errors.Is(err, fs.ErrNotExist) {
			return system
		}
	}
	if dir, err := filepath.Abs(filepath.Dir(path)); err == nil {
		return dir
	}
	return filepath.Dir(path)
}

func (c *Config) sqlitePath() (string, bool) {
	return strings.CutPrefix(string(c.DatabaseURL), "sqlite:")
}

// SQLite says that the database is a file, which one machine has to itself.
func (c *Config) SQLite() bool {
	_, ok := c.sqlitePath()
	return ok
}

// keysetFile is the key's file in the data folder.
const keysetFile = "keyset.json"

// KeyPath is the file of the keyset that encrypts at rest.
func (c *Config) KeyPath() string {
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(c.DataDir, keysetFile)
}

// Proxies are the networks of TrustedProxies. A single address is a network of its own.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				return nil, fmt.Errorf("SLIPWAY_TRUSTED_PROXIES has %q, expected networks such as 10.0.0.0/8 or addresses", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, p)
	}
	return list, nil
}

// Origin is the scheme and host of an address, as a browser names them in the header Origin; "" where it has none.
func Origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// maxRate is a request in a microsecond: what is more limits nothing.
const maxRate = 60_000_000

// Check lists every mistake.
func (c *Config) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{"token", "basic", "none"}, c.Auth) {
		bad("SLIPWAY_AUTH is %q, expected token, basic or none", c.Auth)
	}
	if c.Development && c.Auth != "none" {
		bad("SLIPWAY_DEVELOPMENT lets any caller wipe the inventory, so it is refused while authentication is on (SLIPWAY_AUTH=%s)", c.Auth)
	}
	if c.DatabaseURL == "" {
		bad("SLIPWAY_DATABASE_URL is not set, expected postgres://user:password@host/name or sqlite:PATH")
	} else if !strings.HasPrefix(string(c.DatabaseURL), "postgres") && !strings.HasPrefix(string(c.DatabaseURL), "sqlite:") {
		bad("SLIPWAY_DATABASE_URL must start with postgres:// or sqlite:")
	}
	if c.DataDir == "" {
		c.DataDir = c.defaultDataDir(systemDataDir)
	}
	if c.StorageURL == "" {
		c.StorageURL = (&url.URL{Scheme: "file", Path: filepath.Join(c.DataDir, "files")}).String()
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("SLIPWAY_LISTEN is %q, expected host:port", c.Listen)
	}
	for name, address := range map[string]string{"SLIPWAY_PUBLIC_URL": c.PublicURL, "SLIPWAY_TEMPORAL_UI_URL": c.TemporalUIURL} {
		if address == "" {
			continue
		}
		if u, err := url.Parse(address); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("%s is %q, expected an absolute http or https URL", name, address)
		}
	}
	if c.WebHook != "" {
		// The address itself may be a credential, so it is not repeated.
		if u, err := url.Parse(string(c.WebHook)); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			bad("SLIPWAY_WEB_HOOK is no absolute http or https URL")
		}
	} else if c.WebHookSecret != "" {
		bad("SLIPWAY_WEB_HOOK_SECRET signs what goes to SLIPWAY_WEB_HOOK, which is not set")
	}
	if _, err := c.Proxies(); err != nil {
		errs = append(errs, err)
	}
	if c.SMTPURL != "" || c.SMTPFrom != "" {
		if _, err := mailer.Parse(string(c.SMTPURL), c.SMTPFrom); err != nil {
			bad("SLIPWAY_SMTP_URL and SLIPWAY_SMTP_FROM: %v", err)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("SLIPWAY_TLS_CERT and SLIPWAY_TLS_KEY go together")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		bad("SLIPWAY_LOG_LEVEL is %q, expected debug, info, warn or error", c.LogLevel)
	}
	if !slices.Contains([]string{"text", "json"}, c.LogFormat) {
		bad("SLIPWAY_LOG_FORMAT is %q, expected text or json", c.LogFormat)
	}
	for name, n := range map[string]int64{"SLIPWAY_SCRIPT_OUTPUT": c.ScriptOutput, "SLIPWAY_SOURCE_LIMIT": c.SourceLimit, "SLIPWAY_PACKAGE_LIMIT": c.PackageLimit,
		"SLIPWAY_DATABASE_CONNECTIONS": int64(c.DatabaseConnections), "SLIPWAY_SCRIPTS": int64(c.Scripts), "SLIPWAY_SCRIPT_TIMEOUT": int64(c.ScriptTimeout), "SLIPWAY_SOURCE_TIMEOUT": int64(c.SourceTimeout),
		"SLIPWAY_DELIVERY_RETENTION": int64(c.DeliveryRetention)} {
		if n <= 0 {
			bad("%s must be more than 0", name)
		}
	}
	for name, n := range map[string]int{"SLIPWAY_RATE_CALLER": c.RateCaller, "SLIPWAY_RATE_ORGANIZATION": c.RateOrganization, "SLIPWAY_RATE_ADDRESS": c.RateAddress} {
		if n < 0 || n > maxRate {
			bad("%s is %d, expected requests a minute from 1 to %d, or 0 for any number", name, n, maxRate)
		}
	}
	if c.ScriptGrace < 0 {
		bad("SLIPWAY_SCRIPT_GRACE must not be less than 0")
	}
	return errors.Join(errs...)
}
