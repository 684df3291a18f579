package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"slipway/app"
	"slipway/internal/config"
)

func newAPICommand() *cobra.Command {
	var migrate bool
	var listen, database, storage, auth, webHook string
	var development bool
	cmd := &cobra.Command{
		Use:   "api",
		Short: "Serve the API",
		Long: `Serve the API. It needs the database; Temporal may come and go: reads work without it, triggers answer 503.

Every setting is an environment variable (SLIPWAY_LISTEN, SLIPWAY_DATABASE_URL, ...) or stands in the file of --config;
docs/configuration.md lists them. The flags are for the ones a first try needs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.LoadWith(configFile, func(c *config.Config) {
				for _, f := range []struct {
					name string
					set  func()
				}{
					{"listen", func() { c.Listen = listen }},
					{"database", func() { c.DatabaseURL = config.Secret(database) }},
					{"storage", func() { c.StorageURL = storage }},
					{"auth", func() { c.Auth = auth }},
					{"development", func() { c.Development = development }},
					{"web-hook", func() { c.WebHook = config.Secret(webHook) }},
				} {
					if cmd.Flags().Changed(f.name) {
						f.set()
					}
				}
			})
			if err != nil {
				return err
			}
			return runAPI(cmd.Context(), cfg, migrate)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&migrate, "migrate", false, "bring the database schema up to date first; on SQLite that is always done")
	f.StringVar(&listen, "listen", "", "address to listen on, host:port")
	f.StringVar(&database, "database", "", "database: postgres://... or sqlite:PATH")
	f.StringVar(&storage, "storage", "", "file storage: file:///folder, s3://bucket, gs://bucket, azblob://container")
	f.StringVar(&auth, "auth", "", "token, basic or none")
	f.StringVar(&webHook, "web-hook", "", "address that is told of every upload; workers, which upload what builds make, need SLIPWAY_WEB_HOOK")
	f.BoolVar(&development, "development", false, "allow wiping the inventory; refused unless --auth none")
	return cmd
}

func runAPI(ctx context.Context, cfg *config.Config, migrate bool) error {
	// A database that is a file belongs to this process, so there is nobody to ask before its schema changes.
	a, err := app.Open(ctx, cfg, app.Options{Migrate: migrate || cfg.SQLite(), Process: "api"})
	if err != nil {
		return err
	}
	l, err := listen(cfg.Listen, "--listen")
	if err != nil {
		return errors.Join(err, a.Close())
	}
	a.Log.Info("the API listens", "address", l.Addr().String())
	err = serve(ctx, a, l, true)
	return errors.Join(err, a.Close())
}

// listen listens on an address, which flag sets.
func listen(address, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: end what listens there, perhaps another Slipway, or choose another address with %s", address, flag)
	}
	return l, err // which says: listen tcp ADDRESS: why
}

// headerTimeout is how long the head of a request may take to arrive.
var headerTimeout = 10 * time.Second

// serve answers on l until ctx ends, and runs the reconciler beside it.
func serve(ctx context.Context, a *app.App, l net.Listener, reconcile bool) error {
	handler, err := a.API()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	// Slow senders are cut off; there is no limit on the time of an answer, because logs are followed for hours.
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	srv.BaseContext = func(net.Listener) context.Context { return streams }
	if a.Config.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(a.Config.TLSCert, a.Config.TLSKey)
		if err != nil {
			return errors.Join(fmt.Errorf("load the certificate: %w", err), l.Close())
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	}
	metrics, err := serveMetrics(a)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if reconcile {
		go a.Reconcile(ctx)
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		// Requests that run are let finish; those that follow a log would never, and are told to come back.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		time.AfterFunc(500*time.Millisecond, endStreams)
		err = srv.Shutdown(grace)
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	if metrics != nil {
		err = errors.Join(err, metrics.Close())
	}
	return err
}

// serveMetrics answers /metrics and the profiles on an address of their own: they tell more than callers of the API
// should know.
func serveMetrics(a *app.App) (*http.Server, error) {
	if a.Config.MetricsListen == "" {
		return nil, nil
	}
	l, err := listen(a.Config.MetricsListen, "SLIPWAY_METRICS_LISTEN")
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(a.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}
	go func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.Log.Error("metrics are not served any more", "error", err)
		}
	}()
	a.Log.Info("metrics are served", "address", l.Addr().String())
	return srv, nil
}
