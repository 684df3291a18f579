package models

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestS8WhoIsBehindAnExecution(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		run := func(trigger Trigger, retryOf, parent *Execution) *Execution {
			n := NewExecution{Kind: KindPipeline, ProjectID: "p", SubjectID: "s", SubjectName: "ship", Trigger: trigger, Definition: PipelineDefinition{}}
			if retryOf != nil {
				n.RetryOf, n.Trigger.Type, n.Trigger.Execution = retryOf.ID, "retry", retryOf.ID
			}
			if parent != nil {
				n.ParentID, n.Trigger.Execution = parent.ID, parent.ID
			}
			e, _, err := s.CreateExecution(ctx, n)
			require.NoError(t, err)
			return e
		}
		by := func(kind, id string) Trigger {
			return Trigger{Type: "api", SubjectKind: kind, SubjectID: id, SubjectName: id}
		}
		behind := func(e *Execution) Starters {
			who, err := s.StartersOf(ctx, e)
			require.NoError(t, err)
			return who
		}
		ann := run(by("user", "ann"), nil, nil)
		require.Equal(t, Starters{Users: []string{"ann"}, Known: true}, behind(ann))
		bob := run(by("user", "bob"), ann, nil)
		require.Equal(t, Starters{Users: []string{"bob", "ann"}, Known: true}, behind(bob), "who triggered what is repeated is behind it too")
		hook := run(by("pipeline", "s"), nil, nil)
		require.Equal(t, Starters{}, behind(hook), "anybody who has the token")
		require.Equal(t, Starters{}, behind(run(by("service-account", "ci"), nil, nil)))
		require.Equal(t, Starters{}, behind(run(Trigger{Type: "api"}, nil, nil)))
		require.Equal(t, Starters{Users: []string{"bob"}, Known: true}, behind(run(by("user", "bob"), hook, nil)), "a retry is a person's own act")
		require.Equal(t, Starters{Users: []string{"ann"}}, behind(run(by("user", "ann"), nil, hook)), "one link that anybody can have set off is enough")
		require.Equal(t, Starters{Users: []string{"bob", "ann"}, Known: true}, behind(run(by("user", "bob"), nil, bob)))
		backfill := by("user", "ann")
		backfill.AskedBy = &TriggerSubject{Kind: "user", ID: "bob", Name: "Bob"}
		require.Equal(t, Starters{Users: []string{"ann", "bob"}, Known: true}, behind(run(backfill, nil, nil)))
		backfill.AskedBy.Kind = "service-account"
		require.Equal(t, Starters{Users: []string{"ann"}}, behind(run(backfill, nil, nil)))

		for e, approvals := range map[*Execution]int{ann: 1, hook: 2} {
			c, err := s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, CodeHash: HashCode(e.ID), FourEyes: true})
			require.NoError(t, err)
			require.Equal(t, approvals, c.Approvals)
			c, err = s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, Step: 1, CodeHash: HashCode(e.ID + "3"), FourEyes: true, Approvals: 3})
			require.NoError(t, err)
			require.Equal(t, 3, c.Approvals)
			c, err = s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, Step: 2, CodeHash: HashCode(e.ID + "1")})
			require.NoError(t, err)
			require.Equal(t, 1, c.Approvals, "two eyes are enough")
			c, err = s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, Step: 3, CodeHash: HashCode(e.ID + "carl"), FourEyes: true, User: "carl"})
			require.NoError(t, err)
			require.Equal(t, 1, c.Approvals, "nobody but carl may approve")
			c, err = s.OpenConfirmation(ctx, Confirmation{ExecutionID: e.ID, Step: 4, CodeHash: HashCode(e.ID + "team"), FourEyes: true, User: "carl", Team: "managers"})
			require.NoError(t, err)
			require.Equal(t, approvals, c.Approvals, "carl and the team may")
		}
	})
}
