//go:build linux

package main

import (
	"io"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"slipway/internal/password"
	"slipway/models"
)

// openTerminal gives both ends of a new terminal: what a person types goes into the first, a program reads the second.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("this machine has no terminals: " + err.Error())
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = terminal.Close() })
	return keyboard, terminal
}

// On a terminal the login asks for what is missing, and shows no secret that is typed.
func TestS9LoginOnATerminal(t *testing.T) {
	a, handler := apiOnly(t, "token")
	server := httptest.NewServer(handler)
	defer server.Close()
	hash, err := password.Hash(t.Context(), "correct horse battery")
	require.NoError(t, err)
	ann := &models.User{Name: "ann", PasswordHash: hash}
	require.NoError(t, a.Store.CreateUser(t.Context(), ann))
	token, err := a.Store.CreateToken(t.Context(), &models.Token{SubjectKind: models.SubjectUser, SubjectID: ann.ID})
	require.NoError(t, err)
	c := newCLI(t)
	for _, test := range []struct {
		name           string
		args           []string
		prompts, typed []string
	}{
		{"password", []string{"--user", "ann"}, []string{"Password: "}, []string{"correct horse battery"}},
		{"user-and-password", nil, []string{"User (nothing, to enter a token): ", "Password: "}, []string{"ann", "correct horse battery"}},
		{"token", nil, []string{"User (nothing, to enter a token): ", "Token: "}, []string{"", token}},
	} {
		t.Run(test.name, func(t *testing.T) {
			keyboard, terminal := openTerminal(t)
			screen, out := newOutput(), newOutput()
			shown := make(chan struct{})
			go func() {
				defer close(shown)
				_, _ = io.Copy(screen, keyboard) // ends with the terminal
			}()
			before, err := term.GetState(int(terminal.Fd()))
			require.NoError(t, err)
			root := newRootCommand()
			root.SetArgs(append([]string{"login", server.URL, "--name", test.name}, test.args...))
			root.SetIn(terminal)
			root.SetOut(out)
			root.SetErr(out)
			done := make(chan error, 1)
			go func() { done <- root.ExecuteContext(t.Context()) }()
			for i, prompt := range test.prompts {
				out.await(t, prompt)
				if prompt != test.prompts[0] || len(test.prompts) == 1 {
					awaitNoEcho(t, terminal)
				}
				_, err := keyboard.WriteString(test.typed[i] + "\n")
				require.NoError(t, err)
			}
			require.NoError(t, <-done, out.String())
			require.Contains(t, out.String(), "Logged in to "+server.URL+" as ann")
			after, err := term.GetState(int(terminal.Fd()))
			require.NoError(t, err)
			require.Equal(t, before, after, "the terminal is as it was")
			require.NoError(t, terminal.Close())
			require.NoError(t, keyboard.Close())
			<-shown
			require.NotContains(t, screen.String()+out.String(), test.typed[len(test.typed)-1], "the secret is not echoed")
			if len(test.typed) == 2 {
				require.Contains(t, screen.String(), test.typed[0], "what is no secret is")
			}
			require.Equal(t, server.URL+": user ann\n", c.run("whoami", "--context", test.name))
		})
	}
}

// awaitNoEcho waits until the program has switched the echo off: what is typed before that is shown by every terminal.
func awaitNoEcho(t *testing.T, terminal *os.File) {
	t.Helper()
	for {
		state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		require.NoError(t, err)
		if state.Lflag&unix.ECHO == 0 {
			return
		}
		require.NoError(t, t.Context().Err())
	}
}
