package models

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a source says of a commit has no bound of its own, and may be no text.
func TestCommitsAreCutWhereTheyAreRecorded(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		p := &Project{Name: "shop"}
		require.NoError(t, s.CreateProject(ctx, p))
		e, _, err := s.CreateExecution(ctx, NewExecution{Kind: KindBuild, ProjectID: p.ID, SubjectID: "web", SubjectName: "web", Trigger: Trigger{Type: "api"}, Definition: map[string]string{}})
		require.NoError(t, err)
		long := strings.Repeat("é", 150_000)
		require.NoError(t, s.SetCommit(ctx, e.ID, Commit{Revision: "abc", Branch: "b" + long, Message: "m\x00\xff" + long, Author: "a" + long}))
		e, err = s.ExecutionByID(ctx, e.ID)
		require.NoError(t, err)
		cut := &Commit{Revision: "abc", Branch: "b" + long[:498], Message: "m\uFFFD\uFFFD" + long[:19_992], Author: "a" + long[:498]}
		require.Equal(t, cut, e.Commit)

		// One that comes with the trigger, from a webhook or from another execution, is no different.
		huge := &Commit{Revision: "abc", Branch: "b" + long, Message: "m\x00\xff" + long, Author: "a" + long}
		for _, within := range []func(*Store, *Execution) error{nil, func(*Store, *Execution) error { return nil }} {
			e, _, err = s.CreateExecution(ctx, NewExecution{Kind: KindBuild, ProjectID: p.ID, SubjectID: "web", SubjectName: "web", Trigger: Trigger{Type: "webhook"}, Definition: map[string]string{}, Commit: huge,
				Within: within})
			require.NoError(t, err)
			e, err = s.ExecutionByID(ctx, e.ID)
			require.NoError(t, err)
			require.Equal(t, cut, e.Commit)
		}
		require.Len(t, huge.Message, 300_003, "what was given stays as it is")
	})
}
