package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// Context is a server and the credential for it, which a user has given a name.
type Context struct {
	URL string `json:"url"`
	// Token is the credential; "" where the server asks for none.
	Token string `json:"token,omitempty"`
	// User is whom the server took the token's bearer for at the login.
	User string `json:"user,omitempty"`
	// Session says that the token was made by a login with a password, so that a logout ends it.
	Session bool `json:"session,omitempty"`
	// CACert is the path of a file with certificates that vouch for the server, besides the system's.
	CACert string `json:"ca_cert,omitempty"`
	// Insecure leaves the server's certificate unchecked.
	Insecure bool `json:"insecure,omitempty"`
}

// Contexts is the file that keeps them. It holds credentials: it is readable by its owner alone.
type Contexts struct {
	Current  string             `json:"current_context,omitempty"`
	Contexts map[string]Context `json:"contexts"`

	file string
}

// ContextsFile is where contexts are kept: contexts.json in the folder slipway of the user's configuration, which is
// $XDG_CONFIG_HOME or ~/.config on Linux.
func ContextsFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find your configuration folder: %w", err)
	}
	return filepath.Join(dir, "slipway", "contexts.json"), nil
}

// OpenContexts reads the file; one that is missing holds nothing. A file that others could read is refused.
func OpenContexts(file string) (*Contexts, error) {
	c := &Contexts{Contexts: map[string]Context{}, file: file}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read your contexts: %w", err)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read %s, which holds your credentials: run chmod 600 on it, and think of making new ones", file)
	}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("the contexts in %s cannot be read: %w", file, err)
	}
	if c.Contexts == nil {
		c.Contexts = map[string]Context{}
	}
	return c, nil
}

var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// ValidateContextName says what is wrong with a name.
func ValidateContextName(name string) error {
	if !contextName.MatchString(name) {
		return fmt.Errorf("'%s' is no name for a context: expected letters, digits, '.', '_' and '-'", name)
	}
	return nil
}

// Save writes the file so that it is never half written, and never readable by others.
func (c *Contexts) Save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(c.file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make your configuration folder: %w", err)
	}
	temporary, err := os.CreateTemp(dir, ".contexts-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("save your contexts: %w", err)
	}
	defer os.Remove(temporary.Name()) // fails once it is renamed
	_, err = temporary.Write(append(data, '\n'))
	if err == nil {
		err = temporary.Sync()
	}
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), c.file)
	}
	if err != nil {
		return fmt.Errorf("save your contexts: %w", err)
	}
	return nil
}
