package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
)

// DialMain is the whole of the hidden command "slipway fetch-dial", which git runs in the place of ssh: it carries
// bytes between its standard streams and the proxy of "slipway fetch", which holds the key and the connection. Of the
// arguments, those of OpenSSH, only the last one counts, the command for the host: which host that is the proxy knows
// itself. It returns the exit code for the process.
func DialMain(args []string) int {
	if err := dialThrough(os.Getenv(proxyVariable), args); err != nil {
		fmt.Fprintln(os.Stderr, "slipway fetch-dial:", err)
		return 1
	}
	return 0
}

func dialThrough(address string, args []string) error {
	proxy, err := url.Parse(address)
	if err != nil || proxy.Host == "" || len(args) == 0 {
		return errors.New("this command is started by git, not by hand")
	}
	conn, err := net.Dial("tcp", proxy.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: sshTarget}, Host: sshTarget, Header: http.Header{}}
	password, _ := proxy.User.Password()
	request.SetBasicAuth(proxy.User.Username(), password)
	request.Header.Set("Proxy-Authorization", request.Header.Get("Authorization"))
	request.Header.Del("Authorization")
	request.Header.Set(commandHeader, url.QueryEscape(args[len(args)-1]))
	request.Header.Set("Git-Protocol", os.Getenv("GIT_PROTOCOL"))
	if err := request.Write(conn); err != nil {
		return err
	}
	reader := bufio.NewReader(conn)
	//nolint:bodyclose // what follows the header is the connection itself, read below
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New("no connection")
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, reader)
	return err
}
