// Command slipway is Slipway: the API, the workers, the embedded stack for one machine, and the tools to run them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	_ "slipway/internal/blob/clouds" // s3://, gs:// and azblob:// as storage
	"slipway/internal/buildinfo"
	"slipway/internal/childprocess"
	"slipway/internal/config"
	"slipway/internal/keyring"
	"slipway/models"
)

func main() {
	// The children that workers start come first: nothing else of the program is set up for them.
	childprocess.Run()
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	// The first signal ends everything in order, which may take a while; a second one ends the process at once. Only a second
	// SIGHUP does not: a terminal that closes sends one, and its shell another.
	context.AfterFunc(ctx, func() {
		if !signal.Ignored(syscall.SIGHUP) {
			signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
		}
		stop()
	})
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway:", err)
		os.Exit(exitCode(err))
	}
}

// endSignals are the signals that end the program in order: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes. Under
// nohup SIGHUP is ignored, and asking for it would undo that.
func endSignals() []os.Signal {
	list := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// configFile is the flag --config of all commands.
var configFile string

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "slipway",
		Short:         "Slipway builds releases, keeps them, and deploys them through environments.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       buildinfo.Version,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.PersistentFlags().StringVarP(&configFile, "config", "c", os.Getenv("SLIPWAY_CONFIG"), "configuration file (YAML) of the commands that run a Slipway; the environment wins over it")
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"client", "Use a Slipway:", []*cobra.Command{newLoginCommand(), newLogoutCommand(), newContextCommand(), newWhoAmICommand(), newPipelineCommand(), newBuildCommand(), newJobsCommand(),
			newDeployCommand(), newSmokeCommand(), newDestroyCommand(), newErrandCommand(), newExecutionsCommand(), newApprovalsCommand(), newLogsCommand(), newCancelCommand(), newRetryCommand(),
			newApplyCommand(), newDeploymentsCommand(), newHistoryCommand(), newPackagesCommand()}},
		{"plan", "Make releases here:", []*cobra.Command{newPlanCommand()}},
		{"server", "Run a Slipway:", []*cobra.Command{newDevCommand(), newDemoCommand(), newAPICommand(), newWorkerCommand(), newMigrateCommand(), newAdminCommand(openStore),
			newAssetsCommand(openStore), newRoutesCommand(), newOpenAPICommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, c := range group.commands {
			c.GroupID = group.id
		}
		root.AddCommand(group.commands...)
	}
	root.AddCommand(newVersionCommand())
	tellUsage(root)
	return root
}

// devDatabase is the database of `slipway dev` in its usual folder; "" where there is none.
func devDatabase() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	file := filepath.Join(home, devFolder, devDatabaseFile)
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// openStore opens the configured database for the commands that work on it directly.
func openStore(ctx context.Context) (*models.Store, error) {
	cfg, err := config.Load(configFile)
	if err != nil {
		if file := devDatabase(); file != "" && os.Getenv("SLIPWAY_DATABASE_URL") == "" {
			err = fmt.Errorf("%w\nThe database of slipway dev on this machine is sqlite:%s", err, file)
		}
		return nil, err
	}
	s, err := models.Open(ctx, string(cfg.DatabaseURL), models.Options{MaxConnections: 2})
	if err != nil {
		return nil, err
	}
	if err := s.CheckMigrated(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	keys, err := keyring.Open(cfg.KeyPath())
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.UseEncrypter(keys)
	return s, nil
}

func newVersionCommand() *cobra.Command {
	var materials bool
	cmd := &cobra.Command{Use: "version", Short: "Print the version, or what this program is made of", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		if !materials {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), buildinfo.Version)
			return err
		}
		b, ok := debug.ReadBuildInfo()
		if !ok {
			return errors.New("this program was built without module information")
		}
		return buildinfo.WriteMaterials(cmd.OutOrStdout(), b)
	}}
	cmd.Flags().BoolVar(&materials, "sbom", false, "print the bill of materials: every module with version, licences and hash, as CycloneDX JSON")
	return cmd
}
