// The storefront of the sample shop: a web service and the client that checks it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// version is set when the service is built.
var version = "dev"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "storefront:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say serve or ask")
	}
	switch args[0] {
	case "serve":
		return serve(args[1:])
	case "ask":
		return ask(args[1:])
	}
	return fmt.Errorf("unknown command %q: say serve or ask", args[0])
}

// serve answers until SIGTERM. Its address is written to a file once it can be asked.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address to listen on; port 0 is any free one")
	addressFile := flags.String("address-file", "", "file to write the address to")
	environment := flags.String("environment", "", "name of the environment")
	greeting := flags.String("greeting", "Hello", "what customers read first")
	if err := flags.Parse(args); err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           newShop(version, *environment, *greeting),
		ReadHeaderTimeout: 5 * time.Second,
	}
	if *addressFile != "" {
		if err := writeFile(*addressFile, listener.Addr().String()); err != nil {
			return err
		}
	}
	fmt.Println("listening on", listener.Addr())

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		// Requests under way may finish.
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		return server.Shutdown(ctx)
	}
}

// writeFile writes a file that others see whole or not at all.
func writeFile(name, text string) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// ask checks a running storefront.
func ask(args []string) error {
	flags := flag.NewFlagSet("ask", flag.ContinueOnError)
	url := flags.String("url", "", "where the storefront answers")
	wantVersion := flags.String("version", "", "the version it must be")
	wantGreeting := flags.String("greeting", "", "the greeting it must give")
	if err := flags.Parse(args); err != nil {
		return err
	}
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(*url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	front, err := readFront(response)
	if err != nil {
		return err
	}
	if front.Version != *wantVersion {
		return fmt.Errorf("version %s answers, not %s", front.Version, *wantVersion)
	}
	if front.Greeting != *wantGreeting {
		return fmt.Errorf("it greets with %q, not with %q", front.Greeting, *wantGreeting)
	}
	fmt.Printf("version %s answers: %s\n", front.Version, front.Greeting)
	return nil
}
