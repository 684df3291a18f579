package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slipway/assets"
	"slipway/internal/netguard"
	"slipway/models"
)

// assetsCommand is what the commands below `slipway assets` share. Like `slipway admin` they work on the database itself.
type assetsCommand struct {
	open         func(ctx context.Context) (*models.Store, error)
	organization string
}

// newAssetsCommand makes `slipway assets`. open gives the store that the configuration names, with its encrypter; it is
// closed after the command.
func newAssetsCommand(open func(ctx context.Context) (*models.Store, error)) *cobra.Command {
	a := &assetsCommand{open: open}
	c := &cobra.Command{Use: "assets", Short: "Bring container images in as assets"}
	c.PersistentFlags().StringVar(&a.organization, "organization", models.DefaultOrganization, "organization that gets the assets, by its canonical or id")
	c.AddCommand(a.importCommand(), a.scanCommand())
	return c
}

// with opens the store and finds the organization for one command.
func (a *assetsCommand) with(fn func(s *models.Store, o *models.Organization, c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ctx := c.Context()
		return withStore(ctx, a.open, func(s *models.Store) error {
			o, err := s.OrganizationByCanonical(ctx, a.organization)
			if errors.Is(err, models.ErrNotFound) {
				o, err = s.OrganizationByID(ctx, a.organization)
			}
			if errors.Is(err, models.ErrNotFound) {
				return fmt.Errorf("there is no organization %q", a.organization)
			}
			if err != nil {
				return err
			}
			return fn(s, o, c, args)
		})
	}
}

func (a *assetsCommand) importCommand() *cobra.Command {
	var skipBad bool
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import images from a file of JSON lines",
		Long: "Import images from a file of JSON lines. Each line is an object with registry, repository and config_digest, and any of the other members of an image.\n" +
			"After an interruption the same command goes on where it was. Images that are there already are not added twice.",
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&skipBad, "skip-bad", false, "go on after lines that are wrong")
	c.RunE = a.with(func(s *models.Store, o *models.Organization, c *cobra.Command, args []string) error {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file: an import that was interrupted goes on in its file, so write what a pipe gives to one first", args[0])
		}
		// No cursors are signed here: any secret will do.
		service, err := assets.New(s, nil, make([]byte, 32), nil, assets.Config{})
		if err != nil {
			return err
		}
		err = s.Audit(c.Context(), byOperator(models.AuditEntry{Action: "asset:import", ResourceKind: "organization", ResourceID: o.ID, ResourceName: o.Canonical,
			Detail: map[string]any{"file": info.Name(), "bytes": info.Size()}}))
		if err != nil {
			return err
		}
		bar := newProgress(c.ErrOrStderr(), info.Size())
		r, err := service.Import(c.Context(), file, assets.ImportOptions{OrganizationID: o.ID, SkipBad: skipBad,
			Progress: func(bytes, lines int64) { bar.show(bytes, fmt.Sprintf("%d lines", lines)) },
			Bad:      func(line int64, err error) { bar.say(fmt.Sprintf("line %d is skipped: %v", line, err)) }})
		bar.end()
		if r != nil {
			if r.ResumedAt > 0 {
				fmt.Fprintf(c.OutOrStdout(), "went on behind line %d\n", r.ResumedAt)
			}
			fmt.Fprintf(c.OutOrStdout(), "%d lines, %d assets created, %d updated, %d lines skipped\n", r.Lines, r.Created, r.Updated, r.Bad)
		}
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted: the same command goes on where it was")
		}
		return err
	})
	return c
}

// registryPasswordVariable holds the password of a registry. It is not a flag: those can be seen by every user of a machine.
const registryPasswordVariable = "SLIPWAY_REGISTRY_PASSWORD"

func (a *assetsCommand) scanCommand() *cobra.Command {
	var username, name, resume string
	var allow []string
	c := &cobra.Command{
		Use:   "scan URL [REPOSITORY...]",
		Short: "Scan a registry, or some of its repositories",
		Long: "Scan a registry, or some of its repositories, and keep it under its name for later scans. The password of --username is read from " + registryPasswordVariable + ".\n" +
			"Of a registry that is known by its name the user, the password and the schedule stay unless they are given anew, and named repositories count for this scan alone.\n" +
			"What a registry refuses is told at the end; what could be read is kept.",
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&username, "username", "", "user name at the registry")
	c.Flags().StringVar(&name, "name", "", "name of the registry; made from its host where it is absent")
	c.Flags().StringVar(&resume, "resume", "", "id of a scan that was interrupted")
	c.Flags().StringSliceVar(&allow, "allow", nil, "address range that may be reached although it is not public, as in 10.1.0.0/16")
	c.RunE = a.with(func(s *models.Store, o *models.Organization, c *cobra.Command, args []string) error {
		var network netguard.Policy
		for _, text := range allow {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return fmt.Errorf("--allow: expected an address range such as 10.1.0.0/16, got %q", text)
			}
			network.Allow = append(network.Allow, p)
		}
		r, err := a.scanned(c, s, o, name, strings.TrimSuffix(args[0], "/"), username, args[1:])
		if err != nil {
			return err
		}
		id := resume
		if id == "" {
			id = models.NewID()
		} else if earlier, err := s.AssetScanByID(c.Context(), id); errors.Is(err, models.ErrNotFound) || err == nil && earlier.RegistryID != r.ID {
			return fmt.Errorf("--resume: registry %s has no scan %q", r.Name, id)
		} else if err != nil {
			return err
		}
		if err := s.Audit(c.Context(), registryLine("asset-scan:create", r)); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "scan %s of registry %s begins; after an interruption go on with --resume %s\n", id, r.Name, id)
		bar := newProgress(c.ErrOrStderr(), 0)
		var last models.AssetScan
		err = (&assets.Scanner{Store: s, Network: network}).Scan(c.Context(), id, r, func(p models.AssetScan) {
			last = p
			bar.total = p.Repositories
			bar.show(p.RepositoriesDone, fmt.Sprintf("%d of %d repositories, %d images", p.RepositoriesDone, p.Repositories, p.Images+p.Reading))
		})
		bar.end()
		fmt.Fprintf(c.OutOrStdout(), "scan %s: %d of %d repositories, %d images, %d assets created, %d failures\n", id, last.RepositoriesDone, last.Repositories, last.Images, last.Created, last.Failures)
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted: go on with --resume " + id)
		}
		return err
	})
	return c
}

// scanned gives the registry to scan. One that is new is kept. Of one that is known by its name only what is given anew is
// changed: it may have a schedule, and its own user and repositories for that.
func (a *assetsCommand) scanned(c *cobra.Command, s *models.Store, o *models.Organization, name, address, username string, repositories []string) (*models.AssetRegistry, error) {
	for _, x := range repositories {
		if !models.IsRepository(x) {
			return nil, fmt.Errorf("expected repositories such as library/nginx, in lower case, got %q", x)
		}
	}
	if name == "" {
		name = registryName(address)
	}
	r, err := s.AssetRegistryByName(c.Context(), o.ID, name)
	known := err == nil
	if !known && !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	if !known {
		r = &models.AssetRegistry{OrganizationID: o.ID, Name: name, Repositories: repositories}
	}
	var password *string
	if p, ok := os.LookupEnv(registryPasswordVariable); ok {
		password = &p
	}
	changed := !known || password != nil || r.URL != address || c.Flags().Changed("username") && r.Username != username
	if r.URL = address; c.Flags().Changed("username") {
		r.Username = username
	}
	if changed {
		err = s.Tx(c.Context(), func(tx *models.Store) error {
			if err := tx.PutAssetRegistry(c.Context(), r, password); err != nil {
				return err
			}
			return tx.Audit(c.Context(), registryLine("asset-registry:update", r))
		})
		if err != nil {
			return nil, err
		}
	}
	if len(repositories) > 0 {
		r.Repositories = repositories
	}
	return r, nil
}

// registryLine is the line of the audit log of what somebody at the command line does with a registry.
func registryLine(action string, r *models.AssetRegistry) models.AuditEntry {
	return byOperator(models.AuditEntry{Action: action, ResourceKind: "asset-registry", ResourceID: r.ID, ResourceName: r.Name,
		Detail: map[string]any{"organization": r.OrganizationID, "url": r.URL}})
}

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// registryName makes a name of a registry's host.
func registryName(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
	}
	return strings.Trim(notInNames.ReplaceAllString(address, "-"), "-")
}

// progress shows how far a command is: a bar that is drawn again in a terminal, else a line from time to time.
type progress struct {
	out      io.Writer
	total    int64
	terminal bool
	shown    time.Time
}

func newProgress(out io.Writer, total int64) *progress {
	p := &progress{out: out, total: total}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			p.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

func (p *progress) show(done int64, text string) {
	every := 5 * time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	if done < p.total && time.Since(p.shown) < every {
		return
	}
	p.shown = time.Now()
	const width = 30
	part := 0
	if p.total > 0 {
		part = int(min(done, p.total) * width / p.total)
	}
	line := fmt.Sprintf("[%s%s] %s", strings.Repeat("#", part), strings.Repeat(".", width-part), text)
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s\x1b[K", line)
		return
	}
	fmt.Fprintln(p.out, line)
}

// say writes a line of its own.
func (p *progress) say(text string) {
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K")
	}
	fmt.Fprintln(p.out, text)
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}
