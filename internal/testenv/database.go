package testenv

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the URL of a fresh, empty database that is dropped after the test. The server is the one that
// SLIPWAY_TEST_POSTGRES_URL names, else one that this test process starts at the first call. Without either the test is
// skipped as "postgres".
func Postgres(t testing.TB) string {
	t.Helper()
	return server(t).create(t, "template0")
}

// PostgresTemplate is [Postgres] with a database that prepare has filled: migrations, say. For each name prepare runs once
// per test process and its result is copied, which is much quicker; it must close its connections.
func PostgresTemplate(t testing.TB, name string, prepare func(url string) error) string {
	t.Helper()
	s := server(t)
	if s.external {
		// Nothing would drop the template of a server that stays, so each database is prepared for itself.
		address := s.create(t, "template0")
		if err := prepare(address); err != nil {
			t.Fatalf("prepare database: %v", err)
		}
		return address
	}
	templates.Lock()
	template, ok := templates.byName[name]
	if !ok {
		template.database = databaseName()
		template.err = s.exec("CREATE DATABASE " + template.database + " TEMPLATE template0")
		if template.err == nil {
			template.err = prepare(s.url(template.database))
		}
		templates.byName[name] = template
	}
	templates.Unlock()
	if template.err != nil {
		t.Fatalf("prepare database template %s: %v", name, template.err)
	}
	return s.create(t, template.database)
}

var templates = struct {
	sync.Mutex
	byName map[string]template
}{byName: map[string]template{}}

type template struct {
	database string
	err      error
}

// databases is a server in which databases are made: the shared cluster or the one of the environment.
type databases struct {
	url      func(database string) string
	external bool
}

func server(t testing.TB) databases {
	t.Helper()
	if base := os.Getenv(PostgresVariable); base != "" {
		parsed, err := url.Parse(base)
		if err != nil {
			t.Fatalf("%s: %v", PostgresVariable, err)
		}
		return databases{external: true, url: func(database string) string {
			address := *parsed
			if database != "postgres" {
				address.Path = "/" + database
			}
			return address.String()
		}}
	}
	if _, err := postgresBinaries(); err != nil {
		Unavailable(t, "postgres", err.Error())
	}
	cluster, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return databases{url: cluster.URL}
}

// create makes a database for t.
func (s databases) create(t testing.TB, template string) string {
	t.Helper()
	name := databaseName()
	if err := s.exec("CREATE DATABASE " + name + " TEMPLATE " + template); err != nil {
		t.Fatalf("create database: %v", err)
	}
	t.Cleanup(func() {
		// FORCE: what the test left open must not keep the database.
		if err := s.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop database: %v", err)
		}
	})
	return s.url(name)
}

// exec runs a statement in the maintenance database. CREATE DATABASE cannot run where the template is in use.
func (s databases) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

var databaseCount atomic.Int64

// databaseName is unique among all test processes that share a server.
func databaseName() string {
	return fmt.Sprintf("slipway_test_%d_%d_%d", os.Getpid(), time.Now().UnixNano(), databaseCount.Add(1))
}
