package e2e

import (
	"net/http"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"slipway/internal/testenv"
	"slipway/models"
)

// R16: everything is started at once on an empty database; one process makes the schema, the others wait for it.
func TestR16MigrationsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	database := testenv.Postgres(t)
	s.database = database
	var all []*process
	for _, name := range []string{"api-1", "api-2"} {
		all = append(all, s.start(name, []string{"api", "--migrate"}, "SLIPWAY_LISTEN="+freeAddress(t)))
	}
	for _, name := range []string{"migrate-1", "migrate-2"} {
		all = append(all, s.start(name, []string{"migrate", "--no-temporal"}))
	}
	all[0].printed("the API listens")
	all[1].printed("the API listens")
	all[2].printed("up to date")
	all[3].printed("up to date")
	store, err := models.Open(t.Context(), database, models.Options{MaxConnections: 2})
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.CheckMigrated(t.Context()))
	_, err = store.OrganizationByCanonical(t.Context(), models.DefaultOrganization)
	require.NoError(t, err, "made once")
}

// A process that finds an older schema says what to do, and does not start.
func TestR16OlderSchema(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	s.database = testenv.Postgres(t)
	for _, command := range []string{"api", "worker"} {
		p := s.start(command, []string{command}, "SLIPWAY_LISTEN="+freeAddress(t))
		await(t, "it ends", func() (bool, string) { return p.ended(), "" })
		require.Contains(t, p.out.String(), "slipway migrate")
		require.NotZero(t, p.cmd.ProcessState.ExitCode())
	}
}

// R17: a stack that ends leaves neither goroutines nor connections. It runs alone: others would count too.
func TestR17Leaks(t *testing.T) { leaks17(t, 3) }

func leaks17(t *testing.T, times int) {
	testenv.Temporal(t)
	once := func(t *testing.T) {
		s := newStack(t, stackOptions{})
		p := s.project("leak")
		p.build("build", "echo built")
		s.line(p.trigger("build"), "built")
	}
	// The first one starts what stays for the whole test process.
	require.True(t, t.Run("warm up", once))
	http.DefaultClient.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	for range times {
		require.True(t, t.Run("again", once))
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// R18: the database turns read-only, as after a failover to a standby or with a full disk.
func TestR18ReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("readonly")
	g := newGate(t)
	p.build("build", "echo pid $$", g.wait(), "echo passed")
	open := p.trigger("build")
	s.line(open, "pid ")
	set := func(mode string) {
		t.Helper()
		own, err := pgx.ParseConfig(s.database)
		require.NoError(t, err)
		own.RuntimeParams["default_transaction_read_only"] = "off"
		conn, err := pgx.ConnectConfig(t.Context(), own)
		require.NoError(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "ALTER DATABASE "+own.Database+" SET default_transaction_read_only = "+mode)
		require.NoError(t, err)
		// Connections that are open keep what they had: they are ended, as a failover would.
		_, err = conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		require.NoError(t, err)
	}
	set("on")
	const trigger = "/api/v1/state/readonly/environments/dev/builds/by-name/build/trigger-build"
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				a, err := s.try(http.MethodPost, trigger, nil)
				if err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
					t.Errorf("%v %d %s", err, a.status, a.body)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/api/v1/state/readonly/environments/dev/", nil).status, "reads work")
	g.open(1)
	set("off")
	s.ok(open)
	require.Contains(t, s.logText(open), "passed")
	g.open(1)
	after := p.trigger("build")
	s.ok(after)
	require.EqualValues(t, 2, s.row(after).Number, "what was refused took no number")
}
