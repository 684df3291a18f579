package packages_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/activities"
	"slipway/internal/blob"
	"slipway/internal/fetch"
	"slipway/internal/runner"
	"slipway/internal/testenv"
	"slipway/models"
	"slipway/packages"
	"slipway/policies"
	"slipway/workflows"
)

// plainSecrets stands in for encryption.
type plainSecrets struct{}

func (plainSecrets) Encrypt(plain []byte, _ string) ([]byte, error)  { return plain, nil }
func (plainSecrets) Decrypt(cipher []byte, _ string) ([]byte, error) { return cipher, nil }

var owner = policies.Subject{Kind: policies.KindUser, ID: "owner", Name: "owner"}

type fixture struct {
	t        testing.TB
	store    *models.Store
	service  *packages.Service
	activity *activities.PackageMirror
	pkg      *models.Package
	repo     *testenv.Repository
}

func onBothDatabases(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, newFixture(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db")))
	})
	t.Run("postgres", func(t *testing.T) { test(t, newFixture(t, testenv.Postgres(t))) })
}

// newFixture has a package acme/hello whose source is a repository with one commit.
func newFixture(t testing.TB, address string) *fixture {
	ctx := t.Context()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := models.Open(ctx, address, models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.Migrate(ctx))
	store.UseEncrypter(plainSecrets{})
	files, err := blob.Open(ctx, "file://"+t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { files.Close() })
	supervisor, err := runner.Start(runner.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { supervisor.Close() })
	spaces, err := runner.OpenWorkspaces(t.TempDir(), runner.UserRange{})
	require.NoError(t, err)
	t.Cleanup(func() { spaces.Close() })
	fetcher := fetch.New(fetch.Options{Runner: supervisor, Workspaces: spaces, Policy: fetch.Policy{AllowLocal: true}})

	f := &fixture{t: t, store: store}
	f.service = &packages.Service{Store: store, Blob: files, Logger: quiet, TempDir: t.TempDir()}
	f.activity = &activities.PackageMirror{Service: f.service, Fetcher: fetcher, Supervisor: supervisor, Workspaces: spaces}
	o, err := store.OrganizationByCanonical(ctx, models.DefaultOrganization)
	require.NoError(t, err)
	name := "acme/hello"
	f.pkg, err = f.service.CreatePackage(ctx, o.ID, packages.PackageInput{Name: &name}, owner)
	require.NoError(t, err)
	f.repo = testenv.GitRepo(t, map[string]string{"composer.json": `{"name":"acme/hello","description":"Says hello"}`,
		"src/Hello.php": "<?php // 1", "tests/x": "x", ".gitattributes": "/tests export-ignore\n"})
	_, err = f.service.PutSource(ctx, f.pkg.ID, packages.SourceInput{Repository: f.repo.Dir}, anyURL, owner)
	require.NoError(t, err)
	return f
}

func anyURL(string) error { return nil }

// mirror runs the activity once.
func (f *fixture) mirror() (workflows.PackageMirrorResult, error) {
	f.t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(f.activity.Mirror)
	v, err := env.ExecuteActivity(f.activity.Mirror, workflows.PackageMirrorInput{PackageID: f.pkg.ID})
	var result workflows.PackageMirrorResult
	if err == nil {
		require.NoError(f.t, v.Get(&result))
	}
	return result, err
}

func (f *fixture) versions() map[string]models.PackageVersion {
	f.t.Helper()
	list, err := f.store.ListPackageVersions(f.t.Context(), f.pkg.ID)
	require.NoError(f.t, err)
	byName := map[string]models.PackageVersion{}
	for _, v := range list {
		byName[v.Name] = v
	}
	return byName
}

func (f *fixture) refused() map[string]string {
	f.t.Helper()
	tags, err := f.store.ListPackageSourceTags(f.t.Context(), f.pkg.ID)
	require.NoError(f.t, err)
	messages := map[string]string{}
	for _, tag := range tags {
		if tag.Message != "" {
			messages[tag.Name] = tag.Message
		}
	}
	return messages
}

func TestMirrorTagsIntoVersions(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, f *fixture) {
		first := f.repo.Git("rev-parse", "HEAD")
		f.repo.Git("tag", "1.0")
		f.repo.Git("tag", "1.0.0.0") // the same, of the same commit
		second := f.repo.Commit("Second", map[string]string{"src/Hello.php": "<?php // 2"})
		f.repo.Git("tag", "-a", "-m", "annotated", "v1.1.0")
		f.repo.Git("tag", "v1.0.0") // the same, of another commit
		f.repo.Git("tag", "v2.0.0-beta1")
		f.repo.Git("tag", "latest-build")
		f.repo.Git("tag", "3.0-dev")
		f.repo.Git("tag", "tree", "HEAD^{tree}")
		f.repo.Commit("Another name", map[string]string{"composer.json": `{"name":"acme/other"}`})
		f.repo.Git("tag", "v4.0.0")
		f.repo.Git("rm", "-q", "composer.json")
		f.repo.Commit("No composer.json", nil)
		f.repo.Git("tag", "v5.0.0")

		result, err := f.mirror()
		require.NoError(t, err)
		require.Equal(t, workflows.PackageMirrorResult{Mirrored: 3, Refused: 5}, result)
		versions := f.versions()
		require.Len(t, versions, 3)
		require.Equal(t, first, versions["1.0"].Reference)
		require.Equal(t, second, versions["v1.1.0"].Reference)
		require.Equal(t, second, versions["v2.0.0-beta1"].Reference)
		messages := f.refused()
		require.Len(t, messages, 5)
		require.Contains(t, messages["v1.0.0"], "released version does not change", "1.0 was first")
		require.Contains(t, messages["latest-build"], "version")
		require.Contains(t, messages["3.0-dev"], "development")
		require.Contains(t, messages["v4.0.0"], "acme/other")
		require.Contains(t, messages["v5.0.0"], "composer.json")

		// The archive is what git archive makes of the commit.
		r, err := f.service.Blob.Open(t.Context(), versions["v1.1.0"].ArchiveKey)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		r.Close()
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		require.NoError(t, err)
		var names []string
		for _, file := range z.File {
			names = append(names, strings.TrimPrefix(file.Name, second[:12]+"/"))
		}
		require.ElementsMatch(t, []string{"", ".gitattributes", "composer.json", "src/", "src/Hello.php"}, names)

		// Again: nothing is new.
		src, err := f.store.PackageSourceByID(t.Context(), f.pkg.ID)
		require.NoError(t, err)
		require.NotNil(t, src.FinishedAt)
		require.Empty(t, src.Message)
		result, err = f.mirror()
		require.NoError(t, err)
		require.Equal(t, workflows.PackageMirrorResult{Refused: 5}, result)

		// A tag that was moved does not change a version; one that was mended and a new one are mirrored; a version that was
		// deleted stays away.
		require.NoError(t, f.service.DeleteVersion(t.Context(), versions["v2.0.0-beta1"].ID, owner))
		f.repo.Commit("Mended", map[string]string{"composer.json": `{"name":"acme/hello","version":"5.0.0"}`})
		f.repo.Git("tag", "-f", "v5.0.0")
		f.repo.Git("tag", "-f", "v1.1.0")
		f.repo.Git("tag", "5.1")
		result, err = f.mirror()
		require.NoError(t, err)
		require.Equal(t, workflows.PackageMirrorResult{Mirrored: 1, Refused: 6}, result)
		versions = f.versions()
		require.Len(t, versions, 3)
		require.Equal(t, second, versions["v1.1.0"].Reference)
		require.Contains(t, versions, "v5.0.0")
		require.Contains(t, f.refused()["5.1"], "5.0.0", "its composer.json says another version")
		require.Contains(t, f.refused()["v1.1.0"], second)
	})
}

// What a quota keeps out is mirrored when there is room: nothing is wrong with its tag.
func TestMirroringGoesOnAfterAQuota(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, f *fixture) {
		for _, version := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
			f.repo.Commit("version "+version, map[string]string{"src/Hello.php": "<?php // " + version})
			f.repo.Git("tag", version)
		}
		full := int64(1)
		set := func(maximum *int64) {
			require.NoError(t, f.store.SetQuota(t.Context(), f.pkg.OrganizationID, models.QuotaStorage, maximum))
		}
		set(&full)
		result, err := f.mirror()
		require.NoError(t, err)
		require.Equal(t, workflows.PackageMirrorResult{Refused: 1}, result)
		require.Empty(t, f.versions(), "no version without an archive is left")
		require.Empty(t, f.refused())
		set(nil)
		result, err = f.mirror()
		require.NoError(t, err)
		require.Equal(t, workflows.PackageMirrorResult{Mirrored: 3}, result)
	})
}

func TestWhatIsWrongWithASourceStandsInItsRow(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, f *fixture) {
		require.NoError(t, os.RemoveAll(f.repo.Dir))
		_, err := f.mirror()
		require.Error(t, err)
		src, err := f.store.PackageSourceByID(t.Context(), f.pkg.ID)
		require.NoError(t, err)
		require.Contains(t, src.Message, "repository")
		require.NotNil(t, src.FinishedAt)
		require.NoError(t, f.service.DeleteSource(t.Context(), f.pkg.ID, owner))
		_, err = f.mirror()
		require.ErrorContains(t, err, "no source")
	})
}

func TestSourceInputIsChecked(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, f *fixture) {
		check := func(url string) error { return fetch.CheckURL(url, fetch.Policy{}) }
		for _, in := range []packages.SourceInput{{}, {Repository: "/etc"}, {Repository: "file:///etc"}, {Repository: "--upload-pack=x"},
			{Repository: "ext::sh -c id"}, {Repository: "https://example.com/a.git", Interval: time.Minute}} {
			_, err := f.service.PutSource(t.Context(), f.pkg.ID, in, check, owner)
			require.Error(t, err, in)
		}
		key := "a private key"
		token, err := f.service.PutSource(t.Context(), f.pkg.ID, packages.SourceInput{Repository: "https://example.com/a.git", PrivateKey: &key, Interval: time.Hour}, check, owner)
		require.NoError(t, err)
		require.Empty(t, token, "the webhook is there already")
		src, err := f.store.PackageSourceByID(t.Context(), f.pkg.ID)
		require.NoError(t, err)
		stored, err := f.store.PackageSourceKey(src)
		require.NoError(t, err)
		require.Equal(t, key, stored)
		// A new webhook ends the old one; the key stays.
		token, err = f.service.PutSource(t.Context(), f.pkg.ID, packages.SourceInput{Repository: "https://example.com/a.git", NewWebhook: true}, check, owner)
		require.NoError(t, err)
		found, err := f.store.PackageSourceByWebhook(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, f.pkg.ID, found.PackageID)
		require.NotEqual(t, src.WebhookHash, found.WebhookHash)
		stored, err = f.store.PackageSourceKey(found)
		require.NoError(t, err)
		require.Equal(t, key, stored)
		_, err = f.store.PackageSourceByWebhook(t.Context(), "guess")
		require.ErrorIs(t, err, models.ErrNotFound)
	})
}

// On a real Temporal server: asked for once and again while it runs, and by a schedule.
func TestMirrorWorkflow(t *testing.T) {
	server := testenv.Temporal(t)
	f := newFixture(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"))
	c, err := client.Dial(client.Options{HostPort: server.HostPort, Logger: nopLog{}})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	mirrors := &packages.Mirrors{Store: f.store, Client: c}
	f.activity.Mirrors = mirrors
	w := worker.New(c, workflows.QueuePackages, worker.Options{DisableRegistrationAliasing: true})
	w.RegisterWorkflowWithOptions(workflows.PackageMirror, workflow.RegisterOptions{Name: workflows.PackageMirrorWorkflow})
	w.RegisterWorkflowWithOptions(workflows.PackageMirrorSchedule, workflow.RegisterOptions{Name: workflows.PackageMirrorScheduleWorkflow})
	rounds, next := make(chan int64), make(chan struct{})
	w.RegisterActivityWithOptions(func(ctx context.Context, in workflows.PackageMirrorInput) (workflows.PackageMirrorResult, error) {
		result, err := f.activity.Mirror(ctx, in)
		rounds <- result.Mirrored
		<-next
		return result, err
	}, activity.RegisterOptions{Name: workflows.ActivityMirrorPackage})
	w.RegisterActivityWithOptions(f.activity.Start, activity.RegisterOptions{Name: workflows.ActivityStartPackageMirror})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	f.repo.Git("tag", "v1.0.0")
	id, err := mirrors.Start(ctx, f.pkg.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, <-rounds)
	// A tag comes after the round has looked, and its webhook while it is still at it: there is another round.
	f.repo.Git("tag", "v1.1.0")
	again, err := mirrors.Start(ctx, f.pkg.ID)
	require.NoError(t, err)
	require.Equal(t, id, again)
	next <- struct{}{}
	require.EqualValues(t, 1, <-rounds)
	next <- struct{}{}
	var result workflows.PackageMirrorResult
	require.NoError(t, c.GetWorkflow(ctx, id, "").Get(ctx, &result))
	require.Len(t, f.versions(), 2)

	// The schedule.
	_, err = f.service.PutSource(ctx, f.pkg.ID, packages.SourceInput{Repository: f.repo.Dir, Interval: 24 * time.Hour}, anyURL, owner)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, mirrors.Synchronize(ctx))
	}
	handle := c.ScheduleClient().GetHandle(ctx, id+"-schedule")
	described, err := handle.Describe(ctx)
	require.NoError(t, err)
	require.Equal(t, 24*time.Hour, described.Schedule.Spec.Intervals[0].Every)
	f.repo.Git("tag", "v1.2.0")
	require.NoError(t, handle.Trigger(ctx, client.ScheduleTriggerOptions{}))
	require.EqualValues(t, 1, <-rounds)
	next <- struct{}{}
	require.NoError(t, c.GetWorkflow(ctx, id, "").Get(ctx, &result))
	require.Len(t, f.versions(), 3)
	for range 2 {
		require.NoError(t, mirrors.Schedule(ctx, f.pkg.ID, 0))
	}
	_, err = handle.Describe(ctx)
	require.Error(t, err)
}

type nopLog struct{}

func (nopLog) Debug(string, ...any) {}
func (nopLog) Info(string, ...any)  {}
func (nopLog) Warn(string, ...any)  {}
func (nopLog) Error(string, ...any) {}
