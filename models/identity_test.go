package models

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/problem"
	"slipway/internal/testenv"
	"slipway/policies"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// onBothDatabases runs a test on a fresh SQLite file and on a fresh PostgreSQL database.
func onBothDatabases(t *testing.T, test func(t *testing.T, s *Store, c *clock)) {
	t.Helper()
	run := func(t *testing.T, address string) {
		c := newClock()
		test(t, openMigrated(t, address, Options{Now: c.now}), c)
	}
	t.Run("sqlite", func(t *testing.T) { run(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db")) })
	t.Run("postgres", func(t *testing.T) { run(t, testenv.Postgres(t)) })
}

// onPostgres gives a fresh PostgreSQL database, for tests of what SQLite has not.
func onPostgres(t *testing.T) *Store {
	t.Helper()
	return openMigrated(t, testenv.Postgres(t), Options{})
}

func openMigrated(t *testing.T, address string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), address, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func newUser(t *testing.T, s *Store, name string, admin bool) *User {
	t.Helper()
	u := &User{Name: name, Admin: admin}
	require.NoError(t, s.CreateUser(t.Context(), u))
	return u
}

func newProject(t *testing.T, s *Store, organization, name string) *Project {
	t.Helper()
	p := &Project{OrganizationID: organization, Name: name}
	require.NoError(t, s.CreateProject(t.Context(), p))
	return p
}

func newOrganization(t *testing.T, s *Store, canonical, kind string, parent *Organization) *Organization {
	t.Helper()
	o := &Organization{Canonical: canonical, Kind: kind}
	if parent != nil {
		o.ParentID = &parent.ID
	}
	require.NoError(t, s.CreateOrganization(t.Context(), o))
	return o
}

func give(t *testing.T, s *Store, subjectKind, subjectID, scopeKind, scopeID, role string) {
	t.Helper()
	require.NoError(t, s.AddGrant(t.Context(), &Grant{SubjectKind: subjectKind, SubjectID: subjectID, ScopeKind: scopeKind, ScopeID: scopeID, Role: role}))
}

func TestMigrationMakesTheDefaultOrganization(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		require.NoError(t, s.CheckMigrated(t.Context()))
		require.NoError(t, s.Migrate(t.Context()), "a second migration must change nothing")
		list, err := s.ListOrganizations(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "default", list[0].Canonical)
		require.Equal(t, OrganizationTenant, list[0].Kind)
		require.Nil(t, list[0].ParentID)
	})
}

func TestOrganizationTree(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		acme := newOrganization(t, s, "acme", OrganizationTenant, nil)
		shops := newOrganization(t, s, "acme-shops", OrganizationGroup, acme)
		web := newOrganization(t, s, "acme-web", OrganizationOrg, shops)

		path, err := s.OrganizationPath(ctx, web.ID)
		require.NoError(t, err)
		require.Equal(t, []string{web.ID, shops.ID, acme.ID}, path)
		p := newProject(t, s, web.ID, "shop")
		path, err = s.ScopePath(ctx, p.ID)
		require.NoError(t, err)
		require.Equal(t, []string{p.ID, web.ID, shops.ID, acme.ID}, path)
		_, err = s.ScopePath(ctx, "no-such-project")
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.OrganizationPath(ctx, "nul\x00")
		require.ErrorIs(t, err, ErrNotFound)

		require.ErrorIs(t, s.CreateOrganization(ctx, &Organization{Canonical: "acme", Kind: OrganizationOrg}), ErrExists)
		missing := NewID()
		require.ErrorIs(t, s.CreateOrganization(ctx, &Organization{Canonical: "lost", Kind: OrganizationOrg, ParentID: &missing}), ErrNotFound)
		for _, bad := range []*Organization{
			{Canonical: "x", Kind: OrganizationOrg},
			{Canonical: "With Space", Kind: OrganizationOrg},
			{Canonical: strings.Repeat("a", 101), Kind: OrganizationOrg},
			{Canonical: "fine", Kind: "kingdom"},
			{Canonical: "fine", Kind: OrganizationGroup},
			{Canonical: "fine", Kind: OrganizationTenant, ParentID: &acme.ID},
			{Canonical: "fine", Kind: OrganizationGroup, ParentID: &web.ID},
			{Canonical: "fine", Kind: OrganizationOrg, Name: "nul\x00"},
		} {
			require.True(t, problem.Is(s.CreateOrganization(ctx, bad), problem.Invalid), "%+v", bad)
		}

		require.True(t, problem.Is(s.MoveOrganization(ctx, shops.ID, &web.ID), problem.Invalid), "a group below an org")
		inner := newOrganization(t, s, "acme-inner", OrganizationGroup, shops)
		require.True(t, problem.Is(s.MoveOrganization(ctx, shops.ID, &inner.ID), problem.Invalid), "below itself")
		require.True(t, problem.Is(s.MoveOrganization(ctx, shops.ID, &shops.ID), problem.Invalid), "below itself")
		require.NoError(t, s.MoveOrganization(ctx, web.ID, &acme.ID))
		path, err = s.ScopePath(ctx, p.ID)
		require.NoError(t, err)
		require.Equal(t, []string{p.ID, web.ID, acme.ID}, path)
		require.NoError(t, s.MoveOrganization(ctx, web.ID, nil))
		require.ErrorIs(t, s.MoveOrganization(ctx, missing, nil), ErrNotFound)
	})
}

// Two moves that are each fine and would make a ring together.
func TestMovesAtOnceMakeNoRing(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		for i := range 5 {
			a := newOrganization(t, s, fmt.Sprintf("ring-a-%d", i), OrganizationOrg, nil)
			b := newOrganization(t, s, fmt.Sprintf("ring-b-%d", i), OrganizationOrg, nil)
			var wg sync.WaitGroup
			errs := make([]error, 2)
			wg.Go(func() { errs[0] = s.MoveOrganization(t.Context(), a.ID, &b.ID) })
			wg.Go(func() { errs[1] = s.MoveOrganization(t.Context(), b.ID, &a.ID) })
			wg.Wait()
			require.True(t, (errs[0] == nil) != (errs[1] == nil), "exactly one move may win: %v", errs)
		}
	})
}

func TestProjects(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		p := &Project{Name: "shop", Description: "sells", Logo: []byte{0x89, 'P', 'N', 'G', 0}, OrgURL: "https://example.com"}
		require.NoError(t, s.CreateProject(ctx, p))
		require.ErrorIs(t, s.CreateProject(ctx, &Project{Name: "shop"}), ErrExists)
		other := newOrganization(t, s, "other", OrganizationOrg, nil)
		twin := newProject(t, s, other.ID, "shop")

		got, err := s.ProjectByName(ctx, "shop")
		require.NoError(t, err)
		require.Equal(t, p.ID, got.ID, "names of the state surface are the default organization's")
		require.Nil(t, got.Logo)
		require.True(t, p.CreatedAt.Equal(got.CreatedAt))
		logo, err := s.ProjectLogo(ctx, p.ID)
		require.NoError(t, err)
		require.Equal(t, p.Logo, logo)
		_, err = s.ProjectLogo(ctx, twin.ID)
		require.ErrorIs(t, err, ErrNotFound)
		got, err = s.ProjectInOrganization(ctx, other.ID, "shop")
		require.NoError(t, err)
		require.Equal(t, twin.ID, got.ID)

		require.NoError(t, s.UpdateProject(ctx, &Project{ID: p.ID, Description: "buys"}))
		got, err = s.ProjectByID(ctx, p.ID)
		require.NoError(t, err)
		require.Equal(t, "buys", got.Description)
		logo, err = s.ProjectLogo(ctx, p.ID)
		require.NoError(t, err)
		require.Equal(t, p.Logo, logo, "nil keeps the logo")
		require.ErrorIs(t, s.UpdateProject(ctx, &Project{ID: NewID()}), ErrNotFound)

		for _, name := range []string{"", "x", "-x", "a/b", "a b", "nul\x00", "näh", strings.Repeat("a", 101), "shop\n"} {
			require.True(t, problem.Is(s.CreateProject(ctx, &Project{Name: name}), problem.Invalid), "%q", name)
			_, err := s.ProjectByName(ctx, name)
			require.ErrorIs(t, err, ErrNotFound, "%q", name)
		}
		require.True(t, problem.Is(s.CreateProject(ctx, &Project{Name: "big", Logo: make([]byte, 1<<20+1)}), problem.Invalid))
		require.True(t, problem.Is(s.CreateProject(ctx, &Project{Name: "bad", Description: "\xff"}), problem.Invalid))
		require.ErrorIs(t, s.CreateProject(ctx, &Project{Name: "lost", OrganizationID: NewID()}), ErrNotFound)

		u := newUser(t, s, "ann", false)
		give(t, s, SubjectUser, u.ID, ScopeProject, p.ID, policies.RoleOwner)
		require.NoError(t, s.DeleteProject(ctx, p.ID))
		require.ErrorIs(t, s.DeleteProject(ctx, p.ID), ErrNotFound)
		grants, err := s.GrantsOf(ctx, SubjectUser, u.ID)
		require.NoError(t, err)
		require.Empty(t, grants, "no grant may wait for the next project")
	})
}

func TestUsers(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		u := &User{Name: "Ann.B", Email: "Ann@Example.com"}
		require.NoError(t, s.CreateUser(ctx, u))
		require.ErrorIs(t, s.CreateUser(ctx, &User{Name: "ann.b"}), ErrExists, "names differ in more than case")
		require.ErrorIs(t, s.CreateUser(ctx, &User{Name: "ann2", Email: "ANN@example.com"}), ErrExists)
		newUser(t, s, "no-mail-1", false)
		newUser(t, s, "no-mail-2", false)
		got, err := s.UserByName(ctx, "ANN.B")
		require.NoError(t, err)
		require.Equal(t, u.ID, got.ID)
		got, err = s.UserByEmail(ctx, "ann@EXAMPLE.com")
		require.NoError(t, err)
		require.Equal(t, u.ID, got.ID)
		_, err = s.UserByEmail(ctx, "")
		require.ErrorIs(t, err, ErrNotFound)
		for _, name := range []string{"", "anonymous-admin", "anonymous", "-ann", "a b", "a\x00", "\xff", strings.Repeat("a", 101)} {
			require.True(t, problem.Is(s.CreateUser(ctx, &User{Name: name}), problem.Invalid), "%q", name)
			_, err := s.UserByName(ctx, name)
			require.ErrorIs(t, err, ErrNotFound)
		}
		for _, email := range []string{"ann", "@", "a@", "@b", "a\x00@b"} {
			require.True(t, problem.Is(s.CreateUser(ctx, &User{Name: "bob", Email: email}), problem.Invalid), "%q", email)
		}
		list, err := s.ListUsers(ctx)
		require.NoError(t, err)
		require.Len(t, list, 3)
	})
}

// S6: the installation keeps an administrator.
func TestS6LastAdmin(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		root := newUser(t, s, "root", true)
		ann := newUser(t, s, "ann", false)
		require.ErrorIs(t, s.SetDisabled(ctx, root.ID, true), ErrLastAdmin)
		require.ErrorIs(t, s.SetAdmin(ctx, root.ID, false), ErrLastAdmin)
		require.ErrorIs(t, s.DeleteUser(ctx, root.ID), ErrLastAdmin)
		require.NoError(t, s.SetDisabled(ctx, ann.ID, true))
		require.NoError(t, s.SetAdmin(ctx, ann.ID, true))
		require.ErrorIs(t, s.SetDisabled(ctx, root.ID, true), ErrLastAdmin, "a disabled administrator does not count")
		require.NoError(t, s.SetDisabled(ctx, ann.ID, false))
		require.NoError(t, s.SetDisabled(ctx, root.ID, true))
		require.ErrorIs(t, s.SetDisabled(ctx, NewID(), true), ErrNotFound)
	})
}

// S6: two administrators lock each other out at the same time; one stays.
func TestS6LastAdminUnderRace(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		a, b := newUser(t, s, "a1", true), newUser(t, s, "b1", true)
		for range 10 {
			var wg sync.WaitGroup
			errs := make([]error, 2)
			wg.Go(func() { errs[0] = s.SetDisabled(ctx, a.ID, true) })
			wg.Go(func() { errs[1] = s.SetAdmin(ctx, b.ID, false) })
			wg.Wait()
			require.True(t, (errs[0] == nil) != (errs[1] == nil), "exactly one may win: %v", errs)
			require.NoError(t, s.SetDisabled(ctx, a.ID, false))
			require.NoError(t, s.SetAdmin(ctx, b.ID, true))
		}
	})
}

func TestGrantsOfUserIncludeTeams(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		org, err := s.OrganizationByCanonical(ctx, DefaultOrganization)
		require.NoError(t, err)
		p, q := newProject(t, s, "", "pp"), newProject(t, s, "", "qq")
		ann := newUser(t, s, "ann", false)
		team := &Team{OrganizationID: org.ID, Name: "Ops"}
		require.NoError(t, s.CreateTeam(ctx, team))
		require.ErrorIs(t, s.CreateTeam(ctx, &Team{OrganizationID: org.ID, Name: "Ops"}), ErrExists)
		require.NoError(t, s.AddTeamMember(ctx, team.ID, ann.ID))
		require.ErrorIs(t, s.AddTeamMember(ctx, team.ID, ann.ID), ErrExists)
		give(t, s, SubjectUser, ann.ID, ScopeProject, p.ID, policies.RoleRead)
		give(t, s, SubjectTeam, team.ID, ScopeProject, p.ID, policies.RoleWrite)
		give(t, s, SubjectTeam, team.ID, ScopeOrganization, org.ID, policies.RoleRead)
		// A service account with the user's id would be somebody else.
		give(t, s, SubjectServiceAccount, ann.ID, ScopeProject, q.ID, policies.RoleOwner)

		grants, err := s.GrantsOf(ctx, SubjectUser, ann.ID)
		require.NoError(t, err)
		require.ElementsMatch(t, []policies.Grant{{Scope: p.ID, Role: "read"}, {Scope: p.ID, Role: "write"}, {Scope: org.ID, Role: "read"}}, grants)

		robot := &ServiceAccount{OrganizationID: org.ID, Name: "robot", TeamID: &team.ID}
		require.NoError(t, s.CreateServiceAccount(ctx, robot))
		require.ErrorIs(t, s.CreateServiceAccount(ctx, &ServiceAccount{OrganizationID: org.ID, Name: "robot"}), ErrExists)
		grants, err = s.GrantsOf(ctx, SubjectServiceAccount, robot.ID)
		require.NoError(t, err)
		require.Empty(t, grants, "a service account does not inherit from the team that owns it")

		// A second grant on the same scope replaces the first.
		give(t, s, SubjectUser, ann.ID, ScopeProject, p.ID, policies.RoleOwner)
		named, err := s.ListGrants(ctx, GrantFilter{ScopeKind: ScopeProject, ScopeID: p.ID})
		require.NoError(t, err)
		require.Len(t, named, 2)
		require.Equal(t, "Ops", named[0].SubjectName)
		require.Equal(t, "ann", named[1].SubjectName)
		require.Equal(t, "pp", named[1].ScopeName)
		require.Equal(t, policies.RoleOwner, named[1].Role)

		require.NoError(t, s.RemoveTeamMember(ctx, team.ID, ann.ID))
		require.ErrorIs(t, s.RemoveTeamMember(ctx, team.ID, ann.ID), ErrNotFound)
		subject, err := s.Subject(ctx, SubjectUser, ann.ID)
		require.NoError(t, err)
		require.Equal(t, []policies.Grant{{Scope: p.ID, Role: "owner"}}, subject.Grants)

		require.NoError(t, s.DeleteTeam(ctx, team.ID))
		a, err := s.ServiceAccountByID(ctx, robot.ID)
		require.NoError(t, err)
		require.Nil(t, a.TeamID)
		require.NoError(t, s.RemoveGrant(ctx, SubjectUser, ann.ID, ScopeProject, p.ID))
		require.ErrorIs(t, s.RemoveGrant(ctx, SubjectUser, ann.ID, ScopeProject, p.ID), ErrNotFound)

		for _, bad := range []Grant{
			{SubjectKind: "run", SubjectID: ann.ID, ScopeKind: ScopeProject, ScopeID: p.ID, Role: "read"},
			{SubjectKind: SubjectUser, SubjectID: ann.ID, ScopeKind: "galaxy", ScopeID: p.ID, Role: "read"},
			{SubjectKind: SubjectUser, SubjectID: ann.ID, ScopeKind: ScopeProject, ScopeID: p.ID, Role: "admin"},
			{SubjectKind: SubjectUser, SubjectID: ann.ID, ScopeKind: ScopeProject, ScopeID: p.ID, Role: ""},
		} {
			require.True(t, problem.Is(s.AddGrant(ctx, &bad), problem.Invalid), "%+v", bad)
		}
	})
}

func TestSubjectOfDisabledAccountIsNotFound(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		ann := newUser(t, s, "ann", false)
		require.NoError(t, s.SetDisabled(ctx, ann.ID, true))
		_, err := s.Subject(ctx, SubjectUser, ann.ID)
		require.ErrorIs(t, err, ErrNotFound)
		org, err := s.OrganizationByCanonical(ctx, DefaultOrganization)
		require.NoError(t, err)
		robot := &ServiceAccount{OrganizationID: org.ID, Name: "robot"}
		require.NoError(t, s.CreateServiceAccount(ctx, robot))
		require.NoError(t, s.SetServiceAccountDisabled(ctx, robot.ID, true))
		_, err = s.Subject(ctx, SubjectServiceAccount, robot.ID)
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.Subject(ctx, "martian", ann.ID)
		require.ErrorIs(t, err, ErrNotFound)
	})
}

// S11: tokens are stored hashed.
func TestS11TokensAreStoredHashed(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		ann := newUser(t, s, "ann", false)
		expires := c.now().Add(time.Hour)
		tok := &Token{SubjectKind: SubjectUser, SubjectID: ann.ID, Name: "laptop", Role: "read", Scopes: []string{"p1", "p2"}, ExpiresAt: &expires}
		secret, err := s.CreateToken(ctx, tok)
		require.NoError(t, err)
		require.Regexp(t, `^slw_[A-Za-z0-9_-]{43}$`, secret)

		var row map[string]any
		require.NoError(t, s.reader(ctx).Table("tokens").Where("id = ?", tok.ID).Take(&row).Error)
		for column, v := range row {
			require.NotContains(t, fmt.Sprint(v), secret[4:], "column %s", column)
		}
		got, err := s.TokenByHash(ctx, HashToken(secret))
		require.NoError(t, err)
		require.Equal(t, tok.ID, got.ID)
		require.Equal(t, []string{"p1", "p2"}, got.Scopes)
		require.Equal(t, secret[len(secret)-7:], got.Hint)
		require.True(t, got.Live(c.now()))
		require.False(t, got.Live(expires), "a token ends at its time, not after it")

		c.move(2 * time.Hour)
		require.True(t, problem.Is(errOf(s.CreateToken(ctx, &Token{ExpiresAt: &expires})), problem.Invalid))
		require.True(t, problem.Is(errOf(s.CreateToken(ctx, &Token{Role: "god"})), problem.Invalid))
		_, err = s.TokenByHash(ctx, HashToken("slw_other"))
		require.ErrorIs(t, err, ErrNotFound)
	})
}

func errOf(_ string, err error) error { return err }

func TestTokensEnd(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		ann := newUser(t, s, "ann", false)
		api := &Token{SubjectKind: SubjectUser, SubjectID: ann.ID, Name: "api"}
		_, err := s.CreateToken(ctx, api)
		require.NoError(t, err)
		session := &Token{SubjectKind: SubjectUser, SubjectID: ann.ID, Name: "login", Purpose: TokenSession}
		_, err = s.CreateToken(ctx, session)
		require.NoError(t, err)

		require.NoError(t, s.SetPassword(ctx, ann.ID, "hash"))
		got, err := s.TokenByID(ctx, session.ID)
		require.NoError(t, err)
		require.NotNil(t, got.RevokedAt, "a new password ends the sessions")
		got, err = s.TokenByID(ctx, api.ID)
		require.NoError(t, err)
		require.Nil(t, got.RevokedAt)

		require.NoError(t, s.RevokeToken(ctx, api.ID))
		first, err := s.TokenByID(ctx, api.ID)
		require.NoError(t, err)
		require.False(t, first.Live(c.now()))
		c.move(time.Minute)
		require.NoError(t, s.RevokeToken(ctx, api.ID))
		second, err := s.TokenByID(ctx, api.ID)
		require.NoError(t, err)
		require.True(t, first.RevokedAt.Equal(*second.RevokedAt), "the first revocation stands")
		require.ErrorIs(t, s.RevokeToken(ctx, NewID()), ErrNotFound)

		list, err := s.ListTokens(ctx, SubjectUser, ann.ID, TokenAPI)
		require.NoError(t, err)
		require.Len(t, list, 1)
		n, err := s.DeleteEndedTokens(ctx, c.now().Add(time.Second))
		require.NoError(t, err)
		require.EqualValues(t, 2, n)

		_, err = s.CreateToken(ctx, &Token{SubjectKind: SubjectUser, SubjectID: ann.ID})
		require.NoError(t, err)
		require.NoError(t, s.DeleteUser(ctx, ann.ID))
		list, err = s.ListTokens(ctx, SubjectUser, ann.ID, TokenAPI)
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

func TestTokenUseIsNotedOnceAMinute(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, c *clock) {
		ctx := t.Context()
		tok := &Token{SubjectKind: SubjectUser, SubjectID: "u"}
		_, err := s.CreateToken(ctx, tok)
		require.NoError(t, err)
		used := func() time.Time {
			got, err := s.TokenByID(ctx, tok.ID)
			require.NoError(t, err)
			require.NoError(t, s.TouchToken(ctx, got))
			got, err = s.TokenByID(ctx, tok.ID)
			require.NoError(t, err)
			require.NotNil(t, got.LastUsedAt)
			return *got.LastUsedAt
		}
		first := used()
		c.move(59 * time.Second)
		require.True(t, first.Equal(used()))
		c.move(time.Second)
		require.True(t, first.Add(time.Minute).Equal(used()))
	})
}

// S24: the database refuses to change or remove what the audit log says.
func TestS24AuditLogIsAppendOnly(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		p := newProject(t, s, "", "shop")
		entry := AuditEntry{Action: "build:trigger", ResourceKind: "build", ResourceID: "b1", ResourceName: "nul\x00 \xff", ProjectID: p.ID,
			Detail: map[string]any{"number": 1, "text": "a\x00b"}}.ActorOf(policies.Subject{Kind: "user", ID: "u1", Name: "ann"})
		require.NoError(t, s.Audit(ctx, entry))
		require.NoError(t, s.Audit(ctx, AuditEntry{Action: "user:create", ResourceName: strings.Repeat("é", 2000)}))

		require.Error(t, s.writer(ctx).Exec("UPDATE audit_log SET actor_name = 'bob'").Error)
		require.Error(t, s.writer(ctx).Exec("DELETE FROM audit_log").Error)

		list, err := s.ListAudit(ctx, policies.Visible{All: true}, AuditFilter{})
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Equal(t, "user:create", list[0].Action)
		require.Equal(t, "ann", list[1].ActorName)
		require.Equal(t, "ok", list[1].Result)
		require.EqualValues(t, 1, list[1].Detail["number"])

		list, err = s.ListAudit(ctx, policies.Visible{Scopes: []string{p.ID}}, AuditFilter{Action: "build:trigger"})
		require.NoError(t, err)
		require.Len(t, list, 1)
		list, err = s.ListAudit(ctx, policies.Visible{All: true}, AuditFilter{Before: list[0].ID})
		require.NoError(t, err)
		require.Empty(t, list)
		list, err = s.ListAudit(ctx, policies.Visible{}, AuditFilter{})
		require.NoError(t, err)
		require.Empty(t, list)

		// No change without its line, no line without its change.
		gone := fmt.Errorf("gone")
		require.ErrorIs(t, s.Tx(ctx, func(tx *Store) error {
			require.NoError(t, tx.Audit(ctx, AuditEntry{Action: "x:y"}))
			return gone
		}), gone)
		list, err = s.ListAudit(ctx, policies.Visible{All: true}, AuditFilter{Action: "x:y"})
		require.NoError(t, err)
		require.Empty(t, list)
	})
}

// S4, S7: the SQL filter of lists covers exactly what Visible.Covers covers, over random trees.
func TestS4ListsShowOnlyWhatIsVisible(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := t.Context()
		r := rand.New(rand.NewPCG(3, 5))
		var orgs []*Organization
		var scopes []string
		paths := map[string][]string{}
		orgPaths := map[string][]string{}
		for i := range 12 {
			var parent *Organization
			if i > 0 && r.IntN(4) > 0 {
				parent = orgs[r.IntN(i)]
			}
			o := newOrganization(t, s, fmt.Sprintf("tree-%d", i), OrganizationOrg, parent)
			orgs, scopes = append(orgs, o), append(scopes, o.ID)
			path, err := s.OrganizationPath(ctx, o.ID)
			require.NoError(t, err)
			orgPaths[o.ID] = path
		}
		for i := range 15 {
			p := newProject(t, s, orgs[r.IntN(len(orgs))].ID, fmt.Sprintf("pr%d", i))
			scopes = append(scopes, p.ID)
			path, err := s.ScopePath(ctx, p.ID)
			require.NoError(t, err)
			paths[p.ID] = path
		}
		scopes = append(scopes, "gone", "nul\x00", "quote'\"")
		pick := func(n int) []string {
			var list []string
			for range n {
				list = append(list, scopes[r.IntN(len(scopes))])
			}
			return list
		}
		shown := 0
		for range 60 {
			v := policies.Visible{All: r.IntN(20) == 0, Scopes: pick(r.IntN(4))}
			if !v.All && r.IntN(2) == 0 {
				v.Within = pick(1 + r.IntN(2))
			}
			var want, got []string
			for id, path := range paths {
				if v.Covers(path) {
					want = append(want, id)
				}
			}
			require.NoError(t, s.reader(ctx).Model(&Project{}).Scopes(s.visibleProjects(v, "projects.id")).Pluck("id", &got).Error)
			slices.Sort(want)
			slices.Sort(got)
			require.Equal(t, len(want), len(got), "%+v", v)
			require.Equal(t, append([]string{}, want...), append([]string{}, got...))
			shown += len(got)

			want, got = nil, nil
			for id, path := range orgPaths {
				if v.Covers(path) {
					want = append(want, id)
				}
			}
			require.NoError(t, s.reader(ctx).Model(&Organization{}).Where("canonical LIKE 'tree-%'").
				Scopes(s.visibleOrganizations(v, "organizations.id")).Pluck("id", &got).Error)
			require.ElementsMatch(t, want, got, "%+v", v)
		}
		require.Greater(t, shown, 50)

		list, err := s.ListProjectsIn(ctx, policies.Visible{All: true}, orgs[0].ID)
		require.NoError(t, err)
		for _, p := range list {
			require.Equal(t, orgs[0].ID, p.OrganizationID)
		}
	})
}

// Somebody with more grants than a statement may have parameters.
func TestS4ManyGrants(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		p := newProject(t, s, "", "shop")
		v := policies.Visible{Scopes: []string{p.ID}}
		for range 70_000 {
			v.Scopes = append(v.Scopes, "01890000-0000-7000-8000-000000000000")
		}
		list, err := s.ListProjects(t.Context(), v)
		require.NoError(t, err)
		require.Len(t, list, 1)
	})
}

func TestIdentityVersionRisesAfterCommit(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *Store, _ *clock) {
		ctx := context.Background()
		before := IdentityVersion()
		require.NoError(t, s.Tx(ctx, func(tx *Store) error {
			require.NoError(t, tx.CreateUser(ctx, &User{Name: "ann"}))
			require.Equal(t, before, IdentityVersion(), "nobody may see a change that is not committed")
			return nil
		}))
		require.Greater(t, IdentityVersion(), before)
		before = IdentityVersion()
		require.ErrorIs(t, s.CreateUser(ctx, &User{Name: "ann"}), ErrExists)
		require.Equal(t, before, IdentityVersion())
	})
}
