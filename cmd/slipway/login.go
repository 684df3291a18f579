package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/internal/client"
)

// maxSecret is the most that is read of a token or a password, in bytes.
const maxSecret = 8192

func newLoginCommand() *cobra.Command {
	l := &login{}
	c := &cobra.Command{
		Use:   "login URL",
		Short: "Log in to a Slipway, and remember it for the commands that talk to one",
		Long: `Log in to a Slipway, and remember it for the commands that talk to one.

What is remembered is a token: one that you have, or one that the server makes for your name and password. It is kept in
contexts.json in the folder slipway of your configuration, which only you can read. Each login has a name, --name; the last
one is the current one, and --context NAME of every command takes another.

On a terminal you are asked for what is missing. In a script, give a token with --token-file or SLIPWAY_TOKEN, or a
password with --password-stdin. Neither can be a flag, since other users of a machine can see those.`,
		Example: "  slipway login https://slipway.example.com --user ann\n" +
			"  slipway login http://127.0.0.1:7770 --name dev --token-file ~/.slipway/admin-token\n" +
			"  echo \"$TOKEN\" | slipway login https://slipway.example.com --token-file -",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              l.run,
	}
	f := c.Flags()
	f.StringVar(&l.name, "name", "", "name of this login (default: the server's host)")
	f.StringVarP(&l.user, "user", "u", "", "your name there")
	f.BoolVar(&l.passwordStdin, "password-stdin", false, "read the password of --user from the first line of standard input")
	f.StringVar(&l.tokenFile, "token-file", "", "read a token from a file; - is standard input")
	f.StringVar(&l.caCert, "ca-cert", "", "file with the certificates that vouch for the server, besides those of the system")
	f.BoolVar(&l.insecure, "insecure", false, "do not check the server's certificate: whoever is in between can read and change everything")
	return c
}

// login is one call of the command.
type login struct {
	name, user, tokenFile, caCert string
	passwordStdin, insecure       bool
}

func (l *login) run(c *cobra.Command, args []string) error {
	if l.passwordStdin && l.user == "" {
		return usageErrorf("--password-stdin needs --user")
	}
	if l.user != "" && l.tokenFile != "" {
		return usageErrorf("--user and --token-file do not go together")
	}
	found := client.Context{URL: strings.TrimSuffix(args[0], "/"), Insecure: l.insecure}
	if !strings.Contains(found.URL, "://") {
		return usageErrorf("'%s' is no address: expected one with http:// or https:// in front", args[0])
	}
	if l.caCert != "" {
		path, err := filepath.Abs(l.caCert)
		if err != nil {
			return err
		}
		found.CACert = path
	}
	if l.name == "" {
		l.name = nameOf(found.URL)
	}
	if err := client.ValidateContextName(l.name); err != nil {
		return usageErrorf("%w; choose one with --name", err)
	}
	warn(c, found)
	// What is wrong with the file is said before anybody types a password.
	kept, err := openContexts()
	if err != nil {
		return err
	}
	if err := explain(found.URL, l.authenticate(c, &found)); err != nil {
		return err
	}
	kept.Contexts[l.name], kept.Current = found, l.name
	if err := kept.Save(); err != nil {
		return err
	}
	as := ""
	if found.User != "" {
		as = " as " + found.User
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "Logged in to %s%s. This login is called '%s'.\n", found.URL, as, l.name)
	return err
}

// nameOf makes a name of an address.
func nameOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "default"
	}
	return strings.Trim(strings.NewReplacer(":", "-", "[", "", "]", "").Replace(u.Host), "-.")
}

// warn says what is dangerous about a server's address.
func warn(c *cobra.Command, found client.Context) {
	if found.Insecure {
		fmt.Fprintf(c.ErrOrStderr(), "Warning: the certificate of %s is not checked. Whoever is in between can read your token.\n", found.URL)
	}
	u, err := url.Parse(found.URL)
	if err != nil || u.Scheme != "http" {
		return
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		fmt.Fprintf(c.ErrOrStderr(), "Warning: %s is not encrypted. Whoever is in between can read your token.\n", found.URL)
	}
}

// authenticate fills in the token, and whose it is.
func (l *login) authenticate(c *cobra.Command, found *client.Context) error {
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	api, err := newClient(*found)
	if err != nil {
		return err
	}
	kind, err := api.LoginKind(ctx)
	switch {
	case err != nil:
		return err
	case kind == client.LoginNone:
		fmt.Fprintln(c.ErrOrStderr(), "The server asks for no login: everybody who reaches it is an administrator.")
		return nil
	case kind == client.LoginBasic:
		return errors.New("the server wants user and password with every request, which this command does not do")
	}
	token, password, err := l.secret(c)
	if err != nil {
		return err
	}
	if token == "" {
		// People take their time to type; the server does not.
		ctx, cancel = context.WithTimeout(c.Context(), time.Minute)
		defer cancel()
		if token, err = api.Login(ctx, l.user, password); err != nil {
			var refused *client.Error
			if errors.As(err, &refused) && refused.Status == 401 {
				return &exitError{exitNotAllowed, fmt.Errorf("%s does not know a user '%s' with that password", found.URL, l.user)}
			}
			return err
		}
		found.Session = true
	}
	found.Token = token
	if api, err = newClient(*found); err != nil {
		return err
	}
	me, err := api.WhoAmI(ctx)
	if err != nil {
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status == 401 {
			return &exitError{exitNotAllowed, fmt.Errorf("%s does not accept this token: it is wrong, or has ended", found.URL)}
		}
		return err
	}
	found.User = me.Value.Name
	return nil
}

// secret gets a token, or a password for l.user, from where the flags say, else from the environment, else from a person.
func (l *login) secret(c *cobra.Command) (token, password string, err error) {
	in := bufio.NewReader(io.LimitReader(c.InOrStdin(), maxSecret))
	switch {
	case l.tokenFile == "-":
		token, err = firstLine(in)
		return token, "", need("token", token, err)
	case l.tokenFile != "":
		file, err := os.Open(l.tokenFile)
		if err != nil {
			return "", "", fmt.Errorf("read the token: %w", err)
		}
		defer file.Close()
		token, err = firstLine(bufio.NewReader(io.LimitReader(file, maxSecret)))
		return token, "", need("token", token, err)
	case l.passwordStdin:
		password, err = firstLine(in)
		return "", password, need("password", password, err)
	case l.user == "" && os.Getenv(tokenVariable) != "":
		return os.Getenv(tokenVariable), "", nil
	}
	stdin, ok := c.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(stdin.Fd())) {
		return "", "", usageErrorf("there is no terminal to ask on: give --token-file, %s, or --user with --password-stdin", tokenVariable)
	}
	if l.user == "" {
		fmt.Fprint(c.ErrOrStderr(), "User (nothing, to enter a token): ")
		if l.user, err = firstLine(bufio.NewReader(stdin)); err != nil {
			return "", "", err
		}
	}
	if l.user == "" {
		token, err = hidden(c, stdin, "Token: ")
		return token, "", need("token", token, err)
	}
	password, err = hidden(c, stdin, "Password: ")
	return "", password, need("password", password, err)
}

// hidden asks for something that is not shown while it is typed. A Ctrl-C gives the terminal its echo back.
func hidden(c *cobra.Command, stdin *os.File, prompt string) (string, error) {
	fd := int(stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(c.Context(), func() {
		_ = term.Restore(fd, before)
		fmt.Fprintln(c.ErrOrStderr())
		os.Exit(exitDetached) // the read does not end by itself
	})
	defer stop()
	fmt.Fprint(c.ErrOrStderr(), prompt)
	text, err := term.ReadPassword(fd)
	fmt.Fprintln(c.ErrOrStderr())
	return strings.TrimSpace(string(text)), err
}

func firstLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimSpace(line), err
}

func need(what, text string, err error) error {
	if err != nil {
		return fmt.Errorf("read the %s: %w", what, err)
	}
	if text == "" {
		return usageErrorf("the %s is empty", what)
	}
	return nil
}

func newLogoutCommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{
		Use:   "logout",
		Short: "Forget a login, and end it on the server if it was made with a password",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			kept, err := openContexts()
			if err != nil {
				return err
			}
			name := k.context
			if name == "" {
				name = kept.Current
			}
			found, ok := kept.Contexts[name]
			if !ok {
				return usageErrorf("there is no login to forget; slipway context list shows those that there are")
			}
			delete(kept.Contexts, name)
			if kept.Current == name {
				kept.Current = ""
			}
			if err := kept.Save(); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "Forgot the login '%s' to %s.\n", name, found.URL)
			if !found.Session {
				return nil
			}
			ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
			defer cancel()
			api, err := newClient(found)
			if err == nil {
				err = api.Logout(ctx)
			}
			if err := explain(found.URL, err); err != nil {
				fmt.Fprintf(c.ErrOrStderr(), "The server could not be told to end it, so its token lasts until it ends by itself: %s\n", err)
			}
			return nil
		},
	}
	k.flags(c)
	return c
}

func newWhoAmICommand() *cobra.Command {
	k := &clientCommands{}
	c := &cobra.Command{Use: "whoami", Short: "Show which server you talk to, and who you are there", Args: cobra.NoArgs}
	c.RunE = k.with(func(ctx context.Context, api *client.Client, c *cobra.Command, _ []string) error {
		me, err := api.WhoAmI(ctx)
		if err != nil {
			return err
		}
		if k.output == "json" {
			return writeJSON(c.OutOrStdout(), me.JSON)
		}
		text := strings.ReplaceAll(me.Value.Kind, "_", " ") + " " + me.Value.Name
		if me.Value.Admin {
			text += ", an administrator"
		}
		if me.Value.TokenRole != "" {
			text += ", with a token that can " + me.Value.TokenRole
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", api.Server(), text)
		return err
	})
	k.flags(c)
	return c
}

func newContextCommand() *cobra.Command {
	c := &cobra.Command{Use: "context", Short: "List your logins, and choose the current one"}
	var output string
	list := &cobra.Command{
		Use: "list", Short: "List your logins, without their tokens", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			kept, err := openContexts()
			if err != nil {
				return err
			}
			type shown struct {
				Name    string `json:"name"`
				URL     string `json:"url"`
				User    string `json:"user"`
				Current bool   `json:"current"`
			}
			all, t := []shown{}, table{heading: []string{"", "NAME", "USER", "URL"}}
			for _, name := range sortedKeys(kept.Contexts) {
				found := kept.Contexts[name]
				all = append(all, shown{name, found.URL, found.User, name == kept.Current})
				mark := ""
				if name == kept.Current {
					mark = "*"
				}
				t.add(mark, name, orDash(found.User), found.URL)
			}
			if output == "json" {
				return writeJSON(c.OutOrStdout(), all)
			}
			return t.write(c.OutOrStdout(), "You are not logged in anywhere.")
		},
	}
	list.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	use := &cobra.Command{
		Use: "use NAME", Short: "Make a login the current one", Args: cobra.ExactArgs(1), ValidArgsFunction: completeContexts,
		RunE: func(c *cobra.Command, args []string) error {
			kept, err := openContexts()
			if err != nil {
				return err
			}
			found, ok := kept.Contexts[args[0]]
			if !ok {
				return usageErrorf("there is no login '%s'; slipway context list shows those that there are", args[0])
			}
			kept.Current = args[0]
			if err := kept.Save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "The current login is '%s', to %s.\n", args[0], found.URL)
			return err
		},
	}
	c.AddCommand(list, use)
	return c
}

func openContexts() (*client.Contexts, error) {
	file, err := client.ContextsFile()
	if err != nil {
		return nil, err
	}
	return client.OpenContexts(file)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
