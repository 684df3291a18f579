package models

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/policies"
)

// S4: a list over several projects is the newest of all that is visible in them, page after page, on both databases, with
// every other member of the filter.
func TestS4ListsOverProjectsAreMerged(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		rng := rand.New(rand.NewPCG(9, 9))
		org := newOrganization(t, s, "merged", OrganizationOrg, nil)
		var projects []string
		for i := range 4 {
			projects = append(projects, newProject(t, s, org.ID, fmt.Sprint("merged", i)).ID)
		}
		var all []*Execution
		for i := range 40 {
			e, _, err := s.CreateExecution(ctx, NewExecution{Kind: []string{KindBuild, KindDeployment}[rng.IntN(2)], ProjectID: projects[rng.IntN(len(projects))],
				SubjectID: fmt.Sprint("s", i%5), SubjectName: fmt.Sprint("name", i%3), Definition: struct{}{}})
			require.NoError(t, err)
			all = append(all, e)
		}
		for _, visible := range [][]string{{projects[0]}, projects[1:3], projects, {org.ID}, {"gone"}} {
			for _, f := range []ExecutionFilter{{Kind: KindBuild}, {Kind: KindBuild, SubjectName: "name1"}, {Kind: KindDeployment, Statuses: []Status{StatusNew}}, {Kind: KindBuild, Brief: true}, {}} {
				var want, have []string
				for i := len(all) - 1; i >= 0; i-- {
					e := all[i]
					seen := visible[0] == org.ID
					for _, id := range visible {
						seen = seen || id == e.ProjectID
					}
					if seen && (f.Kind == "" || f.Kind == e.Kind) && (f.SubjectName == "" || f.SubjectName == e.SubjectName) {
						want = append(want, e.ID)
					}
				}
				f.Visible, f.PageSize = &policies.Visible{Scopes: visible}, 3
				for {
					page, err := s.ListExecutions(ctx, f)
					require.NoError(t, err)
					for _, e := range page {
						have = append(have, e.ID)
						require.Equal(t, f.Brief, len(e.Definition) == 0)
					}
					if len(page) < f.PageSize {
						break
					}
					f.PageFrom = page[len(page)-1].ID
				}
				require.Equal(t, want, have, "%v %+v", visible, f)
			}
		}
	})
}
