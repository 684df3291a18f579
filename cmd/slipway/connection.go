package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

// The variables that say which server the client commands talk to, and as whom. A token is no flag: those can be seen by
// every user of a machine.
const (
	urlVariable     = "SLIPWAY_URL"
	tokenVariable   = "SLIPWAY_TOKEN"
	contextVariable = "SLIPWAY_CONTEXT"
)

// followPatience is how long a server that does not answer is asked again while something is followed: longer than a
// restart or an upgrade of it takes.
const followPatience = 10 * time.Minute

// clientCommands is what the commands that talk to an API share.
type clientCommands struct {
	context, output string
}

// flags adds the flags of all of them to a command.
func (k *clientCommands) flags(c *cobra.Command) {
	c.PersistentFlags().StringVar(&k.context, "context", "", "name of the login to use; also "+contextVariable+" (default: the current one)")
	c.PersistentFlags().StringVarP(&k.output, "output", "o", "table", "table or json")
	_ = c.RegisterFlagCompletionFunc("context", completeContexts)
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// command is what a command does with the API.
type command func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error

// with makes the client for a command, and errors that say what to do.
func (k *clientCommands) with(fn command) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if k.output != "table" && k.output != "json" {
			return usageErrorf("--output is %q, expected table or json", k.output)
		}
		api, err := k.connect()
		if err != nil {
			return err
		}
		return explain(api.Server(), fn(c.Context(), api, c, args))
	}
}

// connect makes the client for the server that is meant.
func (k *clientCommands) connect() (*client.Client, error) {
	chosen, err := k.chosen()
	if err != nil {
		return nil, err
	}
	return newClient(*chosen)
}

// chosen is the server that is meant: that of --context, else of SLIPWAY_URL, else of SLIPWAY_CONTEXT, else of the last
// login. SLIPWAY_TOKEN wins over the token of a login, except over that of --context.
func (k *clientCommands) chosen() (*client.Context, error) {
	file, err := client.ContextsFile()
	if err != nil && k.context != "" {
		return nil, err
	}
	kept := &client.Contexts{}
	if err == nil {
		if kept, err = client.OpenContexts(file); err != nil {
			return nil, err
		}
	}
	named := func(name, by string) (*client.Context, error) {
		found, ok := kept.Contexts[name]
		if !ok {
			return nil, usageErrorf("there is no login '%s', which %s names: slipway context list shows those that there are, and slipway login makes one", name, by)
		}
		return &found, nil
	}
	token := os.Getenv(tokenVariable)
	switch address := os.Getenv(urlVariable); {
	case k.context != "":
		return named(k.context, "--context")
	case address != "":
		// Without a token of its own, that of a login to the same server will do.
		found := client.Context{URL: address}
		for _, other := range kept.Contexts {
			if strings.TrimSuffix(other.URL, "/") == strings.TrimSuffix(address, "/") {
				found = other
			}
		}
		if token != "" {
			found.Token = token
		}
		return &found, nil
	}
	name, by := kept.Current, "your configuration"
	if variable := os.Getenv(contextVariable); variable != "" {
		name, by = variable, contextVariable
	}
	if name == "" {
		return nil, &exitError{exitNotAllowed, fmt.Errorf("you are not logged in: run slipway login URL, or set %s and %s", urlVariable, tokenVariable)}
	}
	found, err := named(name, by)
	if err == nil && token != "" {
		found.Token = token
	}
	return found, err
}

// newClient makes a client for a context.
func newClient(c client.Context) (*client.Client, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 2 * time.Minute, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 16,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure}, //nolint:gosec // only where the user said so at the login
	}
	if c.CACert != "" {
		pem, err := os.ReadFile(c.CACert)
		if err != nil {
			return nil, fmt.Errorf("read the certificates that vouch for %s: %w", c.URL, err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", c.CACert)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	api, err := client.New(c.URL, c.Token, &http.Client{
		Transport: transport,
		// A redirect would turn a POST into a GET; and nobody but the server that was named is to see the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	if err != nil {
		return nil, usageErrorf("%w", err)
	}
	api.Patience = followPatience
	return api, nil
}

// explain turns an error of the client into one that says what to do about it, and what the process ends with.
func explain(server string, err error) error {
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	if errors.Is(err, client.ErrNotSlipway) {
		return somethingElse(server)
	}
	var answer *client.Error
	if errors.As(err, &answer) {
		return explainAnswer(server, answer)
	}
	// The text of a URL's error has the whole path, and with it the code of a confirmation.
	var request *url.Error
	if errors.As(err, &request) {
		cause := request.Err
		var certificate *tls.CertificateVerificationError
		switch {
		case errors.Is(cause, context.Canceled):
			return &exitError{exitDetached, errors.New("interrupted")}
		case errors.As(cause, &certificate):
			return &exitError{exitUnreachable, fmt.Errorf("the certificate of %s is not trusted: %w. Log in with --ca-cert to name the certificate that vouches for it", server, cause)}
		case request.Timeout():
			return &exitError{exitUnreachable, fmt.Errorf("%s did not answer in time", server)}
		}
		return &exitError{exitUnreachable, fmt.Errorf("%s cannot be reached: %w", server, cause)}
	}
	if errors.Is(err, context.Canceled) {
		return &exitError{exitDetached, errors.New("interrupted")}
	}
	return err
}

// somethingElse is the error where no Slipway answers at an address.
func somethingElse(server string) error {
	return &exitError{exitUnreachable, fmt.Errorf("%s does not answer as a Slipway does: is that the right address?", server)}
}

func explainAnswer(server string, answer *client.Error) error {
	said := answer.Body
	if said == "" {
		said = strings.ToLower(http.StatusText(answer.Status))
	}
	// A page, or JSON of a form that the client did not find a text in, comes from something else at this address.
	if strings.HasPrefix(said, "<") || strings.HasPrefix(said, "{") {
		return somethingElse(server)
	}
	switch answer.Status {
	case http.StatusUnauthorized:
		if slices.Contains([]string{"", "unauthorized", "Unauthorized"}, said) {
			said = "the token is missing, wrong, or has ended"
		}
		return &exitError{exitNotAllowed, fmt.Errorf("%s does not let you in: %s. Run slipway login, or set %s", server, said, tokenVariable)}
	case http.StatusForbidden:
		return &exitError{exitNotAllowed, fmt.Errorf("%s does not allow it: %s", server, said)}
	case http.StatusNotFound:
		return &exitError{exitNotFound, fmt.Errorf("%s (%s)", said, server)}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return &exitError{exitUnreachable, fmt.Errorf("%s is not ready: %s", server, said)}
	}
	if answer.Status >= 300 && answer.Status < 400 {
		return fmt.Errorf("%s sends elsewhere (status %d): log in with the address that it really has", server, answer.Status)
	}
	if answer.Status >= 500 {
		return fmt.Errorf("%s failed: %s (status %d, request %s: look into its log)", server, said, answer.Status, answer.RequestID)
	}
	return errors.New(said)
}
