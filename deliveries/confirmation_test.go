package deliveries

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/mailer"
	"slipway/models"
	"slipway/policies"
)

const code = "code-4711-that-nobody-may-see"

// person adds a user with an address and a role on the project; "" for none.
func (k *kit) person(name, role string) *models.User {
	k.t.Helper()
	u := &models.User{Name: name, Email: name + "@example.com"}
	require.NoError(k.t, k.store.CreateUser(k.t.Context(), u))
	if role != "" {
		require.NoError(k.t, k.store.AddGrant(k.t.Context(), &models.Grant{SubjectKind: models.SubjectUser, SubjectID: u.ID, ScopeKind: models.ScopeProject, ScopeID: k.project.ID, Role: role}))
	}
	return u
}

// waits records a pipeline's execution that waits for a decision.
func (k *kit) waits(subject, user, team string) (*models.Execution, *models.Confirmation) {
	k.t.Helper()
	e := k.execution(models.KindPipeline, subject, func(n *models.NewExecution) {
		n.Definition = models.PipelineDefinition{Project: "shop", Name: subject, Phases: []models.PipelinePhase{{Name: "approval", Steps: []models.PipelineStep{{Type: models.StepConfirmation, Name: "go?"}}}}}
	})
	sealed, err := k.keys.Encrypt([]byte(code), "confirmation:"+e.ID)
	require.NoError(k.t, err)
	c, err := k.store.OpenConfirmation(k.t.Context(), models.Confirmation{ExecutionID: e.ID, CodeHash: models.HashCode(code + subject), CodeSealed: sealed, User: user, Team: team})
	require.NoError(k.t, err)
	return e, c
}

// asked sends the links and gives who was asked: addresses of mails and names of rules' targets.
func (k *kit) asked(e *models.Execution, c *models.Confirmation, reminder int) []string {
	k.t.Helper()
	list, err := k.service.ConfirmationLinks(k.t.Context(), e, c, code, reminder)
	require.NoError(k.t, err)
	require.NoError(k.t, k.store.Tx(k.t.Context(), func(tx *models.Store) error { return k.service.Create(k.t.Context(), tx, list...) }))
	var out []string
	for _, n := range list {
		out = append(out, n.Target)
	}
	slices.Sort(out)
	return out
}

func TestConfirmationsAskThoseWhoMayDecide(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		k.person("rita", policies.RoleRead)
		k.person("walter", policies.RoleWrite)
		k.person("olga", policies.RoleOwner)
		k.person("sam", "")
		tess := k.person("tess", "")
		gone := k.person("gone", policies.RoleOwner)
		require.NoError(t, k.store.SetDisabled(ctx, gone.ID, true))
		nomail := &models.User{Name: "nomail"}
		require.NoError(t, k.store.CreateUser(ctx, nomail))
		org, err := k.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
		require.NoError(t, err)
		team := &models.Team{OrganizationID: org.ID, Name: "release managers"}
		require.NoError(t, k.store.CreateTeam(ctx, team))
		require.NoError(t, k.store.AddTeamMember(ctx, team.ID, tess.ID))
		require.NoError(t, k.store.AddTeamMember(ctx, team.ID, nomail.ID))
		teamWrites := &models.Team{OrganizationID: org.ID, Name: "writers"}
		require.NoError(t, k.store.CreateTeam(ctx, teamWrites))
		tim := k.person("tim", "")
		require.NoError(t, k.store.AddTeamMember(ctx, teamWrites.ID, tim.ID))
		require.NoError(t, k.store.AddGrant(ctx, &models.Grant{SubjectKind: models.SubjectTeam, SubjectID: teamWrites.ID, ScopeKind: models.ScopeOrganization, ScopeID: org.ID, Role: policies.RoleWrite}))

		k.rule(models.Notification{Name: "chat", Events: []string{"confirmation"}, Subjects: []string{"ship"}})
		e, c := k.waits("ship", "", "")
		require.Equal(t, []string{"https://chat.example.com/…"}, k.asked(e, c, 0), "without a mail server there are only rules")
		mail, err := mailer.Parse("smtp://127.0.0.1:1?starttls=off", "slipway@example.com")
		require.NoError(t, err)
		k.service.Mail = mail
		require.Equal(t, []string{"https://chat.example.com/…", "olga@example.com", "tim@example.com", "walter@example.com"}, k.asked(e, c, 0))
		e2, c2 := k.waits("other", "sam", "")
		require.Equal(t, []string{"sam@example.com"}, k.asked(e2, c2, 0))
		e3, c3 := k.waits("third", "rita", "release managers")
		require.Equal(t, []string{"rita@example.com", "tess@example.com"}, k.asked(e3, c3, 0))
		e4, c4 := k.waits("fourth", "nobody", "no such team")
		require.Empty(t, k.asked(e4, c4, 0))
		// Who decides in the end is asked: four eyes, say.
		k.service.MayDecide = func(_ context.Context, by policies.Subject, _ *models.Execution, _ *models.Confirmation) (bool, error) {
			return by.Name == "olga", nil
		}
		e5, c5 := k.waits("fifth", "", "")
		require.Equal(t, []string{"olga@example.com"}, k.asked(e5, c5, 0))

		// The same message twice is one; a reminder is another.
		count := func(id string) int {
			list, err := k.store.ListDeliveries(ctx, models.DeliveryFilter{ExecutionID: id})
			require.NoError(t, err)
			return len(list)
		}
		require.Equal(t, 1, count(e5.ID))
		k.asked(e5, c5, 0)
		require.Equal(t, 1, count(e5.ID))
		require.NoError(t, k.service.RemindConfirmation(ctx, c5.ID, 1))
		require.NoError(t, k.service.RemindConfirmation(ctx, c5.ID, 1))
		require.Equal(t, 2, count(e5.ID))
		require.NoError(t, k.store.DecideConfirmation(ctx, c5.ID, models.ConfirmationApproved, "user", "x", "olga"))
		require.NoError(t, k.service.RemindConfirmation(ctx, c5.ID, 2))
		require.NoError(t, k.service.RemindConfirmation(ctx, "gone", 2))
		require.Equal(t, 2, count(e5.ID))
	})
}

// Where nobody is left who may approve, those who are told of confirmations are told so, and who set the run off gets a mail: without
// the link, which is none of theirs.
func TestConfirmationsTellThatNobodyIsLeft(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, k *kit) {
		ctx := t.Context()
		walter := k.person("walter", policies.RoleWrite)
		olga := k.person("olga", policies.RoleOwner)
		org, err := k.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
		require.NoError(t, err)
		team := &models.Team{OrganizationID: org.ID, Name: "ops"}
		require.NoError(t, k.store.CreateTeam(ctx, team))
		require.NoError(t, k.store.AddTeamMember(ctx, team.ID, walter.ID))
		k.rule(models.Notification{Name: "chat", Events: []string{"confirmation"}})
		k.service.Mail, err = mailer.Parse("smtp://127.0.0.1:1?starttls=off", "slipway@example.com")
		require.NoError(t, err)
		k.service.MayDecide = func(_ context.Context, by policies.Subject, _ *models.Execution, _ *models.Confirmation) (bool, error) {
			return by.Name == "olga", nil
		}
		e := k.execution(models.KindPipeline, "ship", func(n *models.NewExecution) {
			n.Trigger = models.Trigger{Type: "api", SubjectKind: policies.KindUser, SubjectID: walter.ID, SubjectName: "walter"}
			n.Definition = models.PipelineDefinition{Project: "shop", Name: "ship", Phases: []models.PipelinePhase{{Name: "approval", Steps: []models.PipelineStep{{Type: models.StepConfirmation, Name: "go?"}}}}}
		})
		fresh := models.Confirmation{ExecutionID: e.ID, CodeHash: models.HashCode(code), Team: "ops", FourEyes: true}
		require.NoError(t, k.store.PrepareConfirmation(ctx, &fresh)) // as the step does, before it opens it
		bodies := func() map[string]string {
			list, err := k.service.ConfirmationLinks(ctx, e, &fresh, code, 0)
			require.NoError(t, err)
			out := map[string]string{}
			for _, n := range list {
				out[n.Target] = n.Subject + n.Body
			}
			return out
		}
		const says = "nobody who may approve is left: the team 'ops' has one member, walter set the run off"
		got := bodies()
		require.Len(t, got, 2)
		require.Contains(t, got["https://chat.example.com/…"], `"shortage":"`+says)
		require.Contains(t, got["walter@example.com"], "waits for a decision that too few are left to make")
		require.Contains(t, got["walter@example.com"], "As things are this cannot be approved: "+says)
		require.NotContains(t, got["walter@example.com"], code)
		require.NotContains(t, got["walter@example.com"], "Decide here")
		require.NoError(t, k.store.AddTeamMember(ctx, team.ID, olga.ID))
		got = bodies()
		require.Len(t, got, 2)
		require.NotContains(t, got["https://chat.example.com/…"], "shortage")
		require.Contains(t, got["olga@example.com"], "waits for your decision")
		require.Contains(t, got["olga@example.com"], code)
	})
}

// The code of a link is a secret: it is sent, and nowhere else to be seen.
func TestS9LinksAreSealed(t *testing.T) {
	k := onSQLite(t)
	k.person("olga", policies.RoleOwner)
	mail, err := mailer.Parse("smtp://127.0.0.1:1?starttls=off", "slipway@example.com")
	require.NoError(t, err)
	k.service.Mail = mail
	k.rule(models.Notification{Name: "chat", Events: []string{"confirmation"}})
	e, c := k.waits("ship", "", "")
	k.asked(e, c, 0)
	list, err := k.store.ListDeliveries(t.Context(), models.DeliveryFilter{ExecutionID: e.ID})
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, shown := range k.whole(list) {
		text, err := json.Marshal(shown)
		require.NoError(t, err)
		require.NotContains(t, string(text), code)
		require.Contains(t, shown.Body, "https://slipway.example.com/shop/"+e.ID+"/***")
		d, err := k.store.DeliveryByID(t.Context(), shown.ID)
		require.NoError(t, err)
		require.NotContains(t, string(d.Sealed), code)
		secret, err := k.store.DeliverySecret(d)
		require.NoError(t, err)
		require.Contains(t, secret.Body, "https://slipway.example.com/shop/"+e.ID+"/"+code)
	}
	require.NotContains(t, k.log.String(), code)
	// What was decided meanwhile is not asked any more.
	require.NoError(t, k.store.DecideConfirmation(t.Context(), c.ID, models.ConfirmationDisapproved, "user", "x", "olga"))
	for i := range list {
		out, again, _ := k.attempt(&list[i])
		require.Nil(t, again)
		require.Equal(t, models.StatusSkipped, out.Status)
		require.Equal(t, "it was decided meanwhile: disapproved", out.Reason)
	}
	// Without the server's address there is no link, and the message says so.
	k.service.PublicURL = ""
	e, c = k.waits("again", "", "")
	links, err := k.service.ConfirmationLinks(t.Context(), e, c, code, 0)
	require.NoError(t, err)
	for _, n := range links {
		require.NotContains(t, n.Body, code)
	}
	require.True(t, slices.ContainsFunc(links, func(n models.NewDelivery) bool { return strings.Contains(n.Body, "no link in this message") }))
}
