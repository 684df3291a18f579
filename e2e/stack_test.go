package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"google.golang.org/protobuf/types/known/durationpb"

	"slipway/activities"
	"slipway/api"
	"slipway/app"
	"slipway/executions"
	"slipway/internal/client"
	"slipway/internal/config"
	"slipway/internal/keyring"
	"slipway/internal/temporaldev"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/policies"
)

// stack is an installation of Slipway: a database, a Temporal namespace, a folder, an administrator, and what runs on it.
type stack struct {
	t         testing.TB
	dir       string
	database  string
	namespace string
	temporal  *temporaldev.Server
	cfg       *config.Config
	url       string
	token     string
	client    *client.Client
	store     *models.Store // the test's own way into the database
	workflows sdk.Client    // the test's own way to Temporal

	app    *app.App    // of a stack inside the test process
	worker *app.Worker // the same
	server *httptest.Server
	end    context.CancelFunc
}

// workerOptions are those of workers inside the test process: a test that ends does not wait for scripts.
var workerOptions = app.WorkerOptions{Drain: time.Second}

// stackOptions change what a stack is made of.
type stackOptions struct {
	// sqlite takes the embedded database instead of PostgreSQL; database is the URL of one that the test has made.
	sqlite   bool
	database string
	// temporal is a server of the test's own, which it may kill.
	temporal *temporaldev.Server
	// noWorker leaves the worker out.
	noWorker bool
	// processes leaves out everything that runs: the test starts processes.
	processes bool
	// tune changes the configuration.
	tune func(*config.Config)
	log  *slog.Logger
	// migrate prepares the database in another way than with this version's schema.
	migrate func(s *stack)
	// faults make the database fail.
	faults *models.Faults
	// interceptors stand around what the worker runs.
	interceptors []interceptor.WorkerInterceptor
	// sources are where builds get their files.
	sources activities.Sources
}

// quickly is a reconciler for tests.
var quickly = executions.ReconcileConfig{Every: 300 * time.Millisecond, CheckAfter: 500 * time.Millisecond}

// newStack makes a stack and, unless it is for processes, runs it inside of the test process.
func newStack(t testing.TB, o stackOptions) *stack {
	t.Helper()
	s := &stack{t: t, dir: openDir(t), database: o.database, temporal: o.temporal, namespace: "default"}
	if s.temporal == nil {
		s.temporal = testenv.Temporal(t)
		s.namespace = newNamespace(t, s.temporal)
	}
	switch {
	case s.database != "":
	case o.sqlite:
		s.database = "sqlite:" + filepath.Join(s.dir, "slipway.db")
	default:
		s.database = testenv.PostgresTemplate(t, "e2e", migrated)
	}
	address := freeAddress(t)
	s.url = "http://" + address
	s.cfg = s.config()
	s.cfg.Listen = address
	if o.tune != nil {
		o.tune(s.cfg)
	}
	var err error
	s.store, err = models.Open(t.Context(), s.database, models.Options{MaxConnections: 4})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.store.Close() })
	if o.migrate == nil {
		o.migrate = func(s *stack) { require.NoError(t, s.store.Migrate(t.Context())) }
	}
	o.migrate(s)
	keys, err := keyring.Open(s.cfg.KeyFile)
	require.NoError(t, err)
	s.store.UseEncrypter(keys)
	s.workflows, err = executions.Connect(executions.ConnectOptions{Address: s.temporal.HostPort, Namespace: s.namespace, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(s.workflows.Close)
	s.token = s.user("admin", true)
	s.client = s.as(s.token)
	if !o.processes {
		s.run(o)
	}
	return s
}

// migrated prepares the template of all the databases.
func migrated(url string) error {
	ctx := context.Background()
	store, err := models.Open(ctx, url, models.Options{MaxConnections: 2})
	if err != nil {
		return err
	}
	return errors.Join(store.Migrate(ctx), store.Close())
}

// config is the configuration of a stack inside the test process; env says the same for processes.
func (s *stack) config() *config.Config {
	cfg, err := config.LoadWith("", func(c *config.Config) {
		c.DataDir, c.DatabaseURL = s.dir, config.Secret(s.database)
		c.KeyFile, c.StorageURL = filepath.Join(s.dir, "keyset.json"), "file://"+filepath.Join(s.dir, "files")
		c.TemporalAddress, c.TemporalNamespace = s.temporal.HostPort, s.namespace
		c.AllowLocalSources, c.AllowPrivateAddresses = true, true
		c.ScriptGrace, c.ScriptTimeout, c.Scripts = time.Second, time.Minute, 8
		c.PublicURL, c.LogLevel = s.url, "info"
		c.DatabaseConnections = 16
	})
	require.NoError(s.t, err)
	return cfg
}

func (s *stack) env() []string {
	c := s.cfg
	return []string{
		"SLIPWAY_DATABASE_URL=" + s.database, "SLIPWAY_DATABASE_CONNECTIONS=16", "SLIPWAY_KEY_FILE=" + c.KeyFile, "SLIPWAY_STORAGE_URL=" + c.StorageURL,
		"SLIPWAY_TEMPORAL_ADDRESS=" + c.TemporalAddress, "SLIPWAY_TEMPORAL_NAMESPACE=" + c.TemporalNamespace, "SLIPWAY_PUBLIC_URL=" + s.url,
		"SLIPWAY_ALLOW_LOCAL_SOURCES=true", "SLIPWAY_ALLOW_PRIVATE_ADDRESSES=true", "SLIPWAY_SCRIPT_GRACE=" + c.ScriptGrace.String(),
		"SLIPWAY_SCRIPT_TIMEOUT=" + c.ScriptTimeout.String(), "SLIPWAY_SCRIPTS=8", "SLIPWAY_LOG_LEVEL=info",
	}
}

// address is where the API listens, host:port.
func (s *stack) address() string { return s.cfg.Listen }

// run starts the API, the reconciler and a worker inside of the test process.
func (s *stack) run(o stackOptions) {
	s.t.Helper()
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	log := o.log
	if log == nil {
		log = slog.New(slog.NewTextHandler(testLog{s.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	var err error
	s.app, err = app.Open(ctx, s.cfg, app.Options{Workers: !o.noWorker, Process: "test", Reconcile: quickly, Log: log, Faults: o.faults,
		Backoff: func(int) time.Duration { return 20 * time.Millisecond }})
	require.NoError(s.t, err)
	handler, err := s.app.API()
	require.NoError(s.t, err)
	s.serve(handler)
	reconciled := make(chan struct{})
	go func() {
		defer close(reconciled)
		s.app.Reconcile(ctx)
	}()
	if !o.noWorker {
		options := workerOptions
		options.Interceptors, options.Sources = o.interceptors, o.sources
		s.worker, err = s.app.StartWorker(ctx, options)
		require.NoError(s.t, err)
	}
	s.t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
		if s.worker != nil {
			_ = s.worker.Stop()
		}
		end()
		<-reconciled
		_ = s.app.Close()
	})
}

func (s *stack) serve(handler *api.Server) {
	l, err := net.Listen("tcp", s.address())
	require.NoError(s.t, err)
	s.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	s.server.Start()
}

// testLog shows the log of a stack that runs inside the test process where the test fails.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil { // after the test nobody may log
		l.t.Logf("%s", strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// user makes a user and returns a token of theirs.
func (s *stack) user(name string, admin bool) string {
	s.t.Helper()
	ctx := context.Background()
	u := &models.User{Name: name, Admin: admin}
	require.NoError(s.t, s.store.CreateUser(ctx, u))
	token, err := s.store.CreateToken(ctx, &models.Token{SubjectKind: policies.KindUser, SubjectID: u.ID, Name: name})
	require.NoError(s.t, err)
	return token
}

func (s *stack) as(token string) *client.Client {
	s.t.Helper()
	c, err := client.New(s.url, token, nil)
	require.NoError(s.t, err)
	return c
}

// openDir is a folder that scripts of other users can reach, which t.TempDir is not.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-e2e-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

var namespaces atomic.Int64

// newNamespace makes a Temporal namespace: the names of task queues are the same in every installation, so two that share
// one would take each other's work.
func newNamespace(t testing.TB, server *temporaldev.Server) string {
	t.Helper()
	c, err := sdk.NewLazyClient(sdk.Options{HostPort: server.HostPort, Logger: nopLogger{}})
	require.NoError(t, err)
	defer c.Close()
	name := fmt.Sprintf("e2e-%d-%d", os.Getpid(), namespaces.Add(1))
	_, err = c.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: name, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour)})
	require.NoError(t, err)
	// Parts of the server learn of a namespace a little later.
	await(t, "namespace "+name+" is known", func() (bool, string) {
		_, err := c.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{Namespace: name, TaskQueue: taskQueue("builds")})
		return err == nil, fmt.Sprint(err)
	})
	return name
}
