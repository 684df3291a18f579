package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"slipway/models"
)

// organizationQuota makes `slipway admin org quota`.
func (a *admin) organizationQuota() *cobra.Command {
	return &cobra.Command{
		Use:   "quota CANONICAL [RESOURCE=MAXIMUM ...]",
		Short: "Show what an organization has and may have, or set it",
		Long: `Show what an organization, with all that is below it, has and may have, or set it.

Resources are executions (those that have not ended; the steps of a pipeline are part of it), projects, storage (bytes of
stored packages) and assets. A maximum is a number, with KiB, MiB, GiB or TiB where one likes, or "none" for any number.
What is there already stays, even where it is more.`,
		Example: "  slipway admin org quota acme\n" +
			"  slipway admin org quota acme executions=50 storage=20GiB projects=none",
		Args: cobra.MinimumNArgs(1),
		RunE: a.with(func(ctx context.Context, s *models.Store, c *cobra.Command, args []string) error {
			o, err := organizationNamed(ctx, s, args[0])
			if err != nil {
				return err
			}
			maxima := make([]*int64, len(args))
			for i, text := range args[1:] {
				resource, maximum, _ := strings.Cut(text, "=")
				if maxima[i+1], err = parseMaximum(maximum); err != nil {
					return fmt.Errorf("'%s': %w", text, err)
				}
				args[i+1] = resource
			}
			// All or none.
			err = s.Tx(ctx, func(tx *models.Store) error {
				for i, resource := range args[1:] {
					e := models.AuditQuota(o.ID, o.Canonical, resource, maxima[i+1])
					if err := a.change(ctx, tx, &e, func(tx *models.Store) error { return tx.SetQuota(ctx, o.ID, resource, maxima[i+1]) }); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			return a.printQuotas(ctx, s, c, o)
		}),
	}
}

func (a *admin) printQuotas(ctx context.Context, s *models.Store, c *cobra.Command, o *models.Organization) error {
	list, err := s.QuotasOf(ctx, o.ID)
	if err != nil {
		return err
	}
	type row struct {
		Resource string `json:"resource"`
		Maximum  *int64 `json:"maximum"`
		Used     int64  `json:"used"`
	}
	rows, texts := []row{}, [][]string{}
	for _, q := range list {
		maximum := "none"
		if q.Maximum != nil {
			maximum = strconv.FormatInt(*q.Maximum, 10)
		}
		rows = append(rows, row(q))
		texts = append(texts, []string{q.Resource, strconv.FormatInt(q.Used, 10), maximum})
	}
	return a.print(c, rows, "RESOURCE\tUSED\tMAXIMUM", texts)
}

// parseMaximum reads a quota as people write it: 50, 20GiB, or none, which is nil.
func parseMaximum(text string) (*int64, error) {
	if text == "none" {
		return nil, nil //nolint:nilnil // none is a good answer
	}
	factor := int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, factor = number, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return nil, fmt.Errorf("expected RESOURCE=MAXIMUM, where the maximum is a number such as 50 or 20GiB, or none")
	}
	n *= factor
	return &n, nil
}
