package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/api/own"
	"slipway/app"
	"slipway/internal/buildinfo"
	"slipway/internal/config"
	"slipway/internal/footprint"
	"slipway/internal/telemetry"
	"slipway/internal/temporaldev"
	"slipway/models"
	"slipway/policies"
)

func newDevCommand() *cobra.Command {
	var data, listen string
	var uiPort int
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run all of Slipway on this machine, with nothing but this binary and the temporal command",
		Long: `Run all of Slipway on this machine: SQLite, a folder for files, the API, workers, and a Temporal server with its Web UI,
all on loopback, with its data under one folder. Scripts run as you. It is made for trying Slipway and for small teams;
docs/running.md says how to run it on PostgreSQL and a Temporal cluster.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := filepath.Abs(data)
			if err != nil {
				return err
			}
			d, err := startDev(cmd.Context(), devOptions{Dir: dir, Listen: listen, UIPort: uiPort})
			if err != nil {
				return err
			}
			d.banner(cmd.OutOrStdout())
			return d.wait(cmd.Context(), cmd.OutOrStdout())
		},
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	cmd.Flags().StringVar(&data, "data", filepath.Join(home, devFolder), "folder for all data")
	cmd.Flags().StringVar(&listen, "listen", "", "address of the API; port 0 takes a free one (default SLIPWAY_LISTEN, else 127.0.0.1:7770)")
	cmd.Flags().IntVar(&uiPort, "ui-port", 8233, "port of Temporal's Web UI; 0 takes a free one")
	return cmd
}

type devOptions struct {
	Dir string
	// Listen is the address of the API; "" takes the configured one.
	Listen string
	UIPort int
	Log    *slog.Logger
}

// devStack is the whole of Slipway in one process, with a Temporal server as its child.
type devStack struct {
	app      *app.App
	temporal *temporaldev.Server
	worker   *app.Worker
	url      string
	token    string
	newToken bool
	dir      string
	served   chan error
	cancel   context.CancelFunc
}

// devDrain is how long scripts that run may go on after Ctrl-C: whoever pressed it waits.
const devDrain = time.Second

// devFolder, in the user's home, is where `slipway dev` keeps everything unless it is told otherwise; devDatabaseFile is in it.
const (
	devFolder       = ".slipway"
	devDatabaseFile = "slipway.db"
)

// tokenFile holds the administrator's token of `slipway dev`.
const tokenFile = "admin-token"

func startDev(ctx context.Context, o devOptions) (_ *devStack, err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	cfg, err := config.LoadWith(configFile, func(c *config.Config) {
		c.DataDir = o.Dir
		if o.Listen != "" {
			c.Listen = o.Listen
		}
		if c.DatabaseURL == "" {
			c.DatabaseURL = config.Secret("sqlite:" + filepath.Join(o.Dir, devDatabaseFile))
		}
		c.AllowLocalSources, c.AllowPrivateAddresses = true, true
		if os.Getenv("SLIPWAY_LOG_LEVEL") == "" {
			c.LogLevel = "warn"
		}
	})
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = telemetry.NewLogger(os.Stderr, cfg.LogLevel, cfg.LogFormat)
	}
	// What is started here outlives a signal until stop ends it in order.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &devStack{dir: o.Dir, served: make(chan error, 1), cancel: cancel}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.stop())
		}
	}()
	l, err := listen(cfg.Listen, "--listen")
	if err != nil {
		return nil, err
	}
	if err := checkUIPort(o.UIPort); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	d.url = "http://" + reachable(l.Addr())
	if cfg.PublicURL == "" {
		cfg.PublicURL = d.url
	}
	// Temporal ends last, by Stop: workers that stop tell it what became of their work. A Ctrl-C counts until it is up.
	temporalContext, end := context.WithCancel(context.WithoutCancel(ctx))
	started := context.AfterFunc(ctx, end)
	to := temporaldev.Options{DataDir: filepath.Join(o.Dir, "temporal"), UIPort: o.UIPort, Namespace: cfg.TemporalNamespace, Logger: o.Log}
	if cfg.TemporalEncrypt {
		to.CodecEndpoint = d.url + own.CodecPath
	}
	d.temporal, err = temporaldev.Start(temporalContext, to)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	started()
	cfg.TemporalAddress = d.temporal.HostPort
	if cfg.TemporalUIURL == "" {
		cfg.TemporalUIURL = d.temporal.UIURL
	}
	if d.app, err = app.Open(ctx, cfg, app.Options{Migrate: true, Workers: true, Process: "dev", Log: o.Log}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := d.adminToken(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if d.worker, err = d.app.StartWorker(ctx, app.WorkerOptions{Drain: devDrain}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	go func() { d.served <- serve(run, d.app, l, true) }()
	// Starting leaves much garbage (policies, migrations), and an idle process gives none of it back by itself.
	time.AfterFunc(5*time.Second, footprint.Shrink)
	return d, nil
}

// checkUIPort fails where something listens on the port of Temporal's Web UI: the Temporal server would end, and say so in
// a line of its log.
func checkUIPort(port int) error {
	if port == 0 {
		return nil
	}
	l, err := listen(net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "--ui-port; 0 takes a free one")
	if err != nil {
		return fmt.Errorf("Temporal's Web UI: %w", err)
	}
	return l.Close()
}

// ownName is how the person who started this calls the program: by its name where a shell finds it, else by its path.
func ownName() string {
	self, err := os.Executable()
	if err != nil {
		return "slipway"
	}
	if found, err := exec.LookPath("slipway"); err == nil {
		if a, err := os.Stat(found); err == nil {
			if b, err := os.Stat(self); err == nil && os.SameFile(a, b) {
				return "slipway"
			}
		}
	}
	if here, err := os.Getwd(); err == nil {
		if short, err := filepath.Rel(here, self); err == nil && filepath.IsLocal(short) && strings.ContainsRune(short, filepath.Separator) {
			return short
		}
	}
	return self
}

// reachable is the address that this machine reaches a listener at: one on all addresses is reached on loopback.
func reachable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return a.String()
}

// adminToken makes the administrator at the first start and keeps its token where only this user can read it.
func (d *devStack) adminToken(ctx context.Context) error {
	file := filepath.Join(d.dir, tokenFile)
	if b, err := os.ReadFile(file); err == nil {
		d.token = strings.TrimSpace(string(b))
		if _, err := d.app.Store.TokenByHash(ctx, models.HashToken(d.token)); err == nil {
			return nil
		}
	}
	s := d.app.Store
	u, err := s.UserByName(ctx, "admin")
	if errors.Is(err, models.ErrNotFound) {
		u = &models.User{Name: "admin", Admin: true}
		err = s.CreateUser(ctx, u)
	}
	if err != nil {
		return fmt.Errorf("make the administrator: %w", err)
	}
	if d.token, err = s.CreateToken(ctx, &models.Token{SubjectKind: policies.KindUser, SubjectID: u.ID, Name: "slipway dev"}); err != nil {
		return fmt.Errorf("make the administrator's token: %w", err)
	}
	d.newToken = true
	return os.WriteFile(file, []byte(d.token+"\n"), 0o600)
}

// banner tells a person what runs and what to try.
func (d *devStack) banner(w io.Writer) {
	file := filepath.Join(d.dir, tokenFile)
	token := "in " + file
	if d.newToken {
		token = d.token + "  (kept in " + file + ")"
	}
	fmt.Fprintf(w, `Slipway %[1]s runs.

  API            %[2]s
  Temporal UI    %[3]s
  Data           %[4]s
  Admin token    %[7]s

Three commands to try, in another terminal:

  %[5]s login %[2]s --name dev --token-file %[6]s
  %[5]s whoami
  curl -H "X-Escape-Token: $(cat %[6]s)" %[2]s/api/v1/slipway/executions/

docs/first-project.md takes a project of your own from its repository to production.

Scripts run as you. Ctrl-C ends everything.
`, buildinfo.Version, d.url, d.temporal.UIURL, d.dir, ownName(), file, token)
}

// wait runs until ctx ends or the API fails, then ends everything.
func (d *devStack) wait(ctx context.Context, w io.Writer) error {
	var err error
	select {
	case <-ctx.Done():
		fmt.Fprintln(w, "\nStopping. What waits goes on at the next start.")
	case err = <-d.served:
		d.served = nil
	}
	return errors.Join(err, d.stop())
}

// stop ends everything, in the opposite order of its start: first no more requests, then no more work, then Temporal.
func (d *devStack) stop() error {
	var errs []error
	d.cancel()
	if d.app != nil && d.served != nil && d.worker != nil {
		errs = append(errs, <-d.served)
		d.served = nil
	}
	if d.worker != nil {
		errs = append(errs, d.worker.Stop())
	}
	if d.app != nil {
		errs = append(errs, d.app.Close())
	}
	if d.temporal != nil {
		d.temporal.Stop()
	}
	return errors.Join(errs...)
}
