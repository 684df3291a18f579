package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"slipway/internal/client"
)

// packagesCommand is what the commands below `slipway packages` share.
type packagesCommand struct{ clientCommands }

// newPackagesCommand makes `slipway packages`.
func newPackagesCommand() *cobra.Command {
	p := &packagesCommand{}
	c := &cobra.Command{
		Use:   "packages",
		Short: "Manage the private Composer repository",
		Long:  "Manage the private Composer repository of the Slipway that you are logged in to: packages, their versions, and who may install them.",
	}
	p.flags(c)
	c.AddCommand(p.createCommand(), p.uploadCommand(), p.grantCommand(), p.listCommand())
	return c
}

// print writes v as JSON, or text for people.
func (p *packagesCommand) print(c *cobra.Command, v any, text func(w io.Writer)) error {
	if p.output == "json" {
		return writeJSON(c.OutOrStdout(), v)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

func (p *packagesCommand) createCommand() *cobra.Command {
	var description string
	var disabled bool
	c := &cobra.Command{
		Use:     "create NAME",
		Short:   "Add a package",
		Args:    cobra.ExactArgs(1),
		Example: "  slipway packages create acme/hello --description 'Says hello'",
	}
	c.Flags().StringVar(&description, "description", "", "what it is, for people")
	c.Flags().BoolVar(&disabled, "disabled", false, "hide it from consumers for now")
	c.RunE = p.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		pkg := &client.Package{Name: args[0], Description: description, Status: 1}
		if disabled {
			pkg.Status = 0
		}
		if err := api.CreatePackage(ctx, pkg); err != nil {
			return err
		}
		return p.print(c, pkg, func(w io.Writer) { fmt.Fprintf(w, "%s is package %d\n", pkg.Name, pkg.ID) })
	})
	return c
}

// find finds a package by its name or its number.
func (p *packagesCommand) find(ctx context.Context, api *client.Client, reference string) (*client.Package, error) {
	list, err := api.Packages(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Name == reference || strconv.FormatInt(list[i].ID, 10) == reference {
			return &list[i], nil
		}
	}
	return nil, &exitError{exitNotFound, fmt.Errorf("%s has no package %q that you may see", api.Server(), reference)}
}

func (p *packagesCommand) uploadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "upload PACKAGE VERSION FILE",
		Short: "Upload the zip archive of a version",
		Long: "Upload the zip archive of a version. The version is added if the package does not have it. The archive must have a composer.json\n" +
			"that names the package, at its root or in its only folder.",
		Args:    cobra.ExactArgs(3),
		Example: "  git archive --format=zip --output=hello.zip v1.2.0\n  slipway packages upload acme/hello v1.2.0 hello.zip",
	}
	c.RunE = p.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		// First the file: a version without an archive would be in the way.
		file, err := os.Open(args[2])
		if err != nil {
			return err
		}
		defer file.Close()
		pkg, err := p.find(ctx, api, args[0])
		if err != nil {
			return err
		}
		version, err := p.version(ctx, api, pkg.ID, args[1])
		if err != nil {
			return err
		}
		uploaded, err := api.UploadPackageArchive(ctx, version.ID, file)
		if err != nil {
			return err
		}
		return p.print(c, uploaded, func(w io.Writer) {
			fmt.Fprintf(w, "%s %s: %d bytes, sha256 %s\n", pkg.Name, uploaded.Name, uploaded.Size, uploaded.SHA256)
		})
	})
	return c
}

// version finds a version of a package, or adds it.
func (p *packagesCommand) version(ctx context.Context, api *client.Client, packageID int64, name string) (*client.PackageVersion, error) {
	list, err := api.PackageVersions(ctx, packageID)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Name == name {
			return &list[i], nil
		}
	}
	v := &client.PackageVersion{Name: name, Status: 1}
	return v, api.CreatePackageVersion(ctx, packageID, v)
}

func (p *packagesCommand) grantCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "grant EMAIL PACKAGE [CONSTRAINT]",
		Short: "Admit a consumer to versions of a package",
		Long: "Admit the consumer with an e-mail address to the versions of a package that a constraint matches; without one, to all. Where there is no\n" +
			"such consumer it is added, and its keys are printed.",
		Args:    cobra.RangeArgs(2, 3),
		Example: "  slipway packages grant ann@example.com acme/hello '5.*'",
	}
	c.RunE = p.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		pkg, err := p.find(ctx, api, args[1])
		if err != nil {
			return err
		}
		constraint := "*"
		if len(args) == 3 {
			constraint = args[2]
		}
		list, err := api.PackageConsumers(ctx, args[0])
		if err != nil {
			return err
		}
		if len(list) > 1 {
			return fmt.Errorf("%d consumers have the address %s: use the API with the id of one", len(list), args[0])
		}
		consumer := &client.PackageConsumer{Email: args[0]}
		isNew := len(list) == 0
		if isNew {
			if err := api.CreatePackageConsumer(ctx, consumer); err != nil {
				return err
			}
		} else {
			*consumer = list[0]
		}
		permission := &client.PackagePermission{ConsumerID: consumer.ID, PackageID: pkg.ID, Version: constraint}
		if err := api.CreatePackagePermission(ctx, permission); err != nil {
			return err
		}
		shown := *consumer
		if !isNew {
			shown.PrivateKey = "" // who has it does not need it again
		}
		return p.print(c, map[string]any{"consumer": shown, "permission": permission}, func(w io.Writer) {
			fmt.Fprintf(w, "%s may install %s %s\n", consumer.Email, pkg.Name, constraint)
			if isNew {
				u, _ := url.Parse(api.Server()) // the client has parsed it
				fmt.Fprintf(w, "\nThe consumer is new. Its Composer needs:\n\n  composer config http-basic.%s %s %s\n  composer config repositories.slipway composer %s\n",
					u.Host, consumer.PublicKey, consumer.PrivateKey, api.Server())
			}
		})
	})
	return c
}

func (p *packagesCommand) listCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list [PACKAGE]",
		Short: "List the packages, or the versions of one",
		Args:  cobra.MaximumNArgs(1),
	}
	c.RunE = p.with(func(ctx context.Context, api *client.Client, c *cobra.Command, args []string) error {
		state := func(status int) string {
			if status == 1 {
				return "enabled"
			}
			return "disabled"
		}
		if len(args) == 0 {
			list, err := api.Packages(ctx)
			if err != nil {
				return err
			}
			return p.print(c, list, func(w io.Writer) {
				fmt.Fprintln(w, "ID\tNAME\tSTATUS\tDESCRIPTION")
				for _, pkg := range list {
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", pkg.ID, pkg.Name, state(pkg.Status), pkg.Description)
				}
			})
		}
		pkg, err := p.find(ctx, api, args[0])
		if err != nil {
			return err
		}
		list, err := api.PackageVersions(ctx, pkg.ID)
		if err != nil {
			return err
		}
		return p.print(c, list, func(w io.Writer) {
			fmt.Fprintln(w, "ID\tVERSION\tSTATUS\tBYTES\tDOWNLOADS")
			for _, v := range list {
				size := "no archive"
				if v.Size > 0 {
					size = strconv.FormatInt(v.Size, 10)
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\n", v.ID, v.Name, state(v.Status), size, v.Downloads)
			}
		})
	})
	return c
}
