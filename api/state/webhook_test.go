package state_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// hook sends a webhook with headers as name, value pairs.
func hook(k *kit, path, body string, headers ...string) *answer {
	k.t.Helper()
	c := k.as("")
	for i := 0; i+1 < len(headers); i += 2 {
		c = c.with(headers[i], headers[i+1])
	}
	return c.post(path, body)
}

func payload(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/webhooks/" + name + ".json")
	require.NoError(t, err)
	return string(b)
}

func sign(body, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// unsigned is a build without a webhook secret.
func unsigned(name string) map[string]any {
	b := aBuild(name)
	delete(b, "webhook_secret")
	return b
}

const commitOfPush = "6dcb09b5b57875f334f61aebed695e2e4193db5e"

func TestWebhooksOfForges(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		k.shop()
		token := k.as("olga").post(devBuilds, unsigned("web")).object()["webhook_token"].(string)
		path := devBuilds + "webhook/" + token
		for _, c := range []struct {
			forge   string
			headers []string
		}{
			{"github", []string{"X-GitHub-Event", "push", "X-GitHub-Delivery", "d-github"}},
			{"gitea", []string{"X-Gitea-Event", "push", "X-GitHub-Event", "push", "X-Gitea-Delivery", "d-gitea"}},
			{"gitlab", []string{"X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "d-gitlab"}},
			{"bitbucket", []string{"X-Event-Key", "repo:push", "X-Request-UUID", "d-bitbucket"}},
			{"bitbucket-server", []string{"X-Event-Key", "repo:refs_changed", "X-Request-Id", "d-bitbucket-server"}},
		} {
			t.Run(c.forge, func(t *testing.T) {
				body := payload(t, c.forge)
				id := hook(k, path, body, c.headers...).id()
				e := k.as("rita").get(devBuilds + "by-name/web/executions/" + id + "/").object()
				require.Equal(t, []any{commitOfPush, "main"}, []any{at(e, "commit", "revision"), at(e, "commit", "branch")})
				require.Equal(t, "webhook", at(e, "trigger", "type"))
				if c.forge != "bitbucket-server" { // it sends no message
					require.Equal(t, "Fix $(reboot) `now`\n", at(e, "commit", "message"), "text is only ever data")
					require.Contains(t, at(e, "commit", "author"), "Ada Lovelace <ada@example.com>")
				}
				// R6: the same delivery twice is one execution, whenever it comes.
				require.Equal(t, id, hook(k, path, body, c.headers...).id())
				// Only the configured branch builds.
				other := strings.ReplaceAll(body, "main", "next")
				headers := append([]string{}, c.headers...)
				headers[len(headers)-1] += "-other"
				require.Equal(t, "the push was not to the branch that this build builds", hook(k, path, other, headers...).object()["ignored"])
			})
		}
	})
}

func TestWebhooksThatBuildNothing(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	token := k.as("olga").post(devBuilds, unsigned("web")).object()["webhook_token"].(string)
	path := devBuilds + "webhook/" + token
	for name, c := range map[string]struct {
		body, event, ignored string
	}{
		"a ping":           {`{"zen":"x"}`, "ping", "the event is not a push"},
		"an issue":         {`{}`, "issues", "the event is not a push"},
		"a tag":            {`{"ref":"refs/tags/v1","after":"` + commitOfPush + `"}`, "push", "no branch was pushed to"},
		"a deleted branch": {`{"ref":"refs/heads/main","deleted":true,"after":"0000000000000000000000000000000000000000"}`, "push", "no branch was pushed to"},
		"not JSON":         {`x`, "push", "the payload could not be understood"},
		"wrong types":      {`{"ref":1}`, "push", "the payload could not be understood"},
		"nothing":          {``, "push", "the payload could not be understood"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.ignored, hook(k, path, c.body, "X-GitHub-Event", c.event, "X-GitHub-Delivery", name).object()["ignored"])
		})
	}
	require.Empty(t, k.temporal.started)
	// A revision that cannot be one is not passed on.
	id := hook(k, path, `{"ref":"refs/heads/main","after":"--upload-pack=x"}`, "X-GitHub-Event", "push").id()
	require.Nil(t, k.as("rita").get(devBuilds + "by-name/web/executions/" + id + "/").object()["commit"])
	// A bare request runs the build, each time.
	first := hook(k, path, "").id()
	require.NotEqual(t, first, hook(k, path, `{"any":"thing"}`).id())
	hook(k, path, strings.Repeat("x", 6<<20)).is(http.StatusRequestEntityTooLarge)

	for name, wrong := range map[string]string{
		"a wrong token":       devBuilds + "webhook/" + strings.Repeat("x", len(token)),
		"another environment": strings.Replace(path, "/dev/", "/prod/", 1),
		"another project":     strings.Replace(path, "/shop/", "/other/", 1),
		"a long token":        devBuilds + "webhook/" + strings.Repeat("x", 150),
	} {
		require.Equal(t, "there is no such webhook", hook(k, wrong, "").is(http.StatusNotFound), name)
	}
	b := k.as("olga").get(devBuilds + "by-name/web/").object()
	b["disabled"] = true
	k.as("olga").put(devBuilds+"by-name/web/", b).ok()
	require.Equal(t, "the build is disabled", hook(k, path, "").object()["ignored"])
}

// TestS12SignedWebhooks: where a secret is set, the raw bytes must be signed with it.
func TestS12SignedWebhooks(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	token := k.as("olga").post(devBuilds, aBuild("web")).object()["webhook_token"].(string)
	path := devBuilds + "webhook/" + token
	body := payload(t, "github")
	good := sign(body, "signing-secret")
	for name, headers := range map[string][]string{
		"no signature":         {},
		"a wrong one":          {"X-Hub-Signature-256", "sha256=" + sign(body, "other")},
		"not hex":              {"X-Hub-Signature-256", "sha256=zz"},
		"of other bytes":       {"X-Hub-Signature-256", "sha256=" + sign(body+" ", "signing-secret")},
		"of nothing":           {"X-Hub-Signature-256", "sha256="},
		"a wrong GitLab token": {"X-Gitlab-Token", "other"},
		"SHA-1":                {"X-Hub-Signature", "sha1=" + good[:40]},
	} {
		t.Run(name, func(t *testing.T) {
			headers = append(headers, "X-GitHub-Event", "push", "X-GitHub-Delivery", name)
			require.Equal(t, "there is no such webhook", hook(k, path, body, headers...).is(http.StatusNotFound))
		})
	}
	require.Empty(t, k.temporal.started)
	for name, headers := range map[string][]string{
		"GitHub":    {"X-Hub-Signature-256", "sha256=" + good, "X-GitHub-Event", "push"},
		"Gitea":     {"X-Gitea-Signature", good, "X-Gitea-Event", "push"},
		"Bitbucket": {"X-Hub-Signature", "sha256=" + good},
		"GitLab":    {"X-Gitlab-Token", "signing-secret", "X-Gitlab-Event", "Push Hook"},
	} {
		t.Run(name, func(t *testing.T) { hook(k, path, body, headers...).id() })
	}
	require.Len(t, k.temporal.started, 1, "a signed payload without a delivery's id is known by its bytes")

	// While a secret is changed the old one is good, too.
	set := func(secret string) *answer {
		b := k.as("olga").get(devBuilds + "by-name/web/").object()
		b["webhook_secret"] = secret
		return k.as("olga").put(devBuilds+"by-name/web/", b)
	}
	send := func(id, secret string) *answer {
		return hook(k, path, body, "X-GitHub-Event", "push", "X-GitHub-Delivery", id, "X-Hub-Signature-256", "sha256="+sign(body, secret))
	}
	set("new-secret\nsigning-secret").ok()
	send("old", "signing-secret").id()
	send("new", "new-secret").id()
	hook(k, path, body, "X-Gitlab-Event", "Push Hook", "X-Gitlab-Token", "new-secret").id()
	for _, no := range []string{"", "\n", "new-secretsigning-secret", "new-secret\n"} {
		send("no", no).is(http.StatusNotFound)
	}
	set("new-secret\n").ok() // as a file is sent that an editor has written
	send("old again", "signing-secret").is(http.StatusNotFound)
	send("new again", "new-secret").id()
	for _, bad := range []string{"a\nb\nc", "\n", "a\n\n", "\nb"} {
		require.Contains(t, set(bad).is(http.StatusBadRequest), "expected one secret, or two of them, one a line")
	}
}

// Secrets that were stored before there could be two, one a line, sign as they did: with all their line breaks.
func TestS12StoredSecretsWithLineBreaks(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	ctx := context.Background()
	created := k.as("olga").post(devBuilds, aBuild("web")).object()
	path, body := devBuilds+"webhook/"+created["webhook_token"].(string), payload(t, "github")
	for _, c := range []struct {
		stored    string
		good, bad []string
	}{
		{"abc\n", []string{"abc\n"}, []string{"abc", ""}},
		{"\nabc", []string{"\nabc"}, []string{"abc", ""}},
		{"BEGIN\nkey\nEND\n", []string{"BEGIN\nkey\nEND\n"}, []string{"BEGIN", "key", "END", ""}},
		{"BEGIN\nkey\nEND", []string{"BEGIN\nkey\nEND"}, []string{"BEGIN", "key", "END"}},
		{"one\ntwo", []string{"one\ntwo", "one", "two"}, []string{"onetwo", "one\n"}},
	} {
		b, err := k.store.BuildByID(ctx, created["id"].(string))
		require.NoError(t, err)
		require.NoError(t, k.store.UpdateBuild(ctx, b, models.BuildSecrets{WebhookSecret: &c.stored}))
		send := func(secret string) *answer {
			return hook(k, path, body, "X-GitHub-Event", "push", "X-GitHub-Delivery", hex.EncodeToString([]byte(c.stored+secret)), "X-Hub-Signature-256", "sha256="+sign(body, secret))
		}
		for _, secret := range c.good {
			send(secret).id()
		}
		for _, secret := range c.bad {
			send(secret).is(http.StatusNotFound)
		}
	}
}

func TestWebhooksOfPipelines(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		withThings(k)
		p := k.as("olga").post(pipelines+"add", aPipeline("ship")).object()
		token := p["triggers"].([]any)[0].(map[string]any)["webhooktoken"].(string)
		path := pipelines + "pipelines/webhook/" + token
		body := payload(t, "github")
		id := hook(k, path, body, "X-GitHub-Event", "push", "X-GitHub-Delivery", "d1").id()
		require.Equal(t, id, hook(k, path, body, "X-GitHub-Event", "push", "X-GitHub-Delivery", "d1").id())
		e := k.as("rita").get(pipelines + "by-name/ship/executions/" + id + "/").object()
		require.Equal(t, commitOfPush, at(e, "commit", "revision"))
		require.Contains(t, hook(k, path, strings.ReplaceAll(body, "main", "next"), "X-GitHub-Event", "push", "X-GitHub-Delivery", "d2").object()["ignored"], "not to a branch that this pipeline builds")
		hook(k, path, "").id() // a bare request
		hook(k, pipelines+"pipelines/webhook/wrong", "").is(http.StatusNotFound)
		hook(k, strings.Replace(path, "/shop/", "/other/", 1), "").is(http.StatusNotFound)
		// A secret that is set later is asked for from then on.
		p["triggers"].([]any)[0].(map[string]any)["webhook_secret"] = "s3cret"
		k.as("olga").put(pipelines+"by-name/ship/", p).ok()
		hook(k, path, "{}").is(http.StatusNotFound)
		hook(k, path, "{}", "X-Hub-Signature-256", "sha256="+sign("{}", "s3cret")).id()
	})
}
