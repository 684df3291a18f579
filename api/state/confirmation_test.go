package state_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

const json_ = "application/json"

func link(id, code, verb string) string {
	return pipelines + "by-name/ship/executions/" + id + "/confirmation/" + code + "/" + verb
}

func ship(k *kit) {
	k.t.Helper()
	withThings(k)
	k.as("olga").post(pipelines+"add", aPipeline("ship")).ok()
}

// status reads the confirmation's row.
func status(k *kit, id string) string {
	k.t.Helper()
	list, err := k.store.ConfirmationsOf(context.Background(), id)
	require.NoError(k.t, err)
	require.Len(k.t, list, 1)
	return list[0].Status
}

// TestConfirmationLinksActOnlyWhenAsked: mail scanners and browsers follow links; only a request that names
// application/json decides.
func TestConfirmationLinksActOnlyWhenAsked(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		id, code := waiting(k, "", "")
		for _, accept := range []string{"", "*/*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/*", "application/json;q=0", "application/jsonx", "text/application/json"} {
			c := k.as("")
			if accept != "" {
				c = c.with("Accept", accept)
			}
			for _, verb := range []string{"approve", "disapprove"} {
				a := c.get(link(id, code, verb))
				require.Contains(t, a.ok(), "<button", accept)
				require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
			}
		}
		for _, accept := range []string{json_, "*/*"} {
			for _, verb := range []string{"approve", "disapprove"} {
				a := k.as("walter").with("Accept", accept).do("HEAD", link(id, code, verb), nil)
				require.Equal(t, "", a.ok())
				require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"), "HEAD is answered as the page is")
				require.Contains(t, a.header.Get("Content-Security-Policy"), "default-src 'none'")
			}
		}
		require.Equal(t, http.StatusNotFound, k.as("").do("HEAD", link(id, "wrong", "approve"), nil).status)
		k.as("").with("Accept", json_).post(link(id, code, "approve"), nil).is(http.StatusNotFound)
		require.Equal(t, models.ConfirmationPending, status(k, id))

		decision := k.as("walter").with("Accept", "text/plain, application/json").get(link(id, code, "approve")).object()
		require.Equal(t, []any{"approved", "walter"}, []any{decision["status"], decision["decided_by"]})
		require.Equal(t, models.ConfirmationApproved, status(k, id))
		require.Equal(t, []string{id}, k.temporal.signalled, "the workflow is told")
		for _, verb := range []string{"approve", "disapprove"} {
			require.Regexp(t, `^this was approved already, by walter at 20`, k.as("olga").with("Accept", json_).get(link(id, code, verb)).is(http.StatusConflict))
		}
		// Who decided, and when, is in the execution and in the audit log.
		e := k.as("rita").get(pipelines + "by-name/ship/executions/" + id + "/").object()
		st := at(at(e, "pipeline", "phases").([]any)[2], "steps").([]any)[0]
		require.Equal(t, "walter", at(st, "decided_by"))
		require.NotEmpty(t, at(st, "decided_at"))
		require.Nil(t, at(st, "confirmation_url"))
		require.Contains(t, k.as("olga").get("/api/v1/slipway/projects/shop/audit/?action=confirmation:approve").ok(), `"actor_name":"walter"`)
	})
}

func TestConfirmationWithoutALogin(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	id, code := waiting(k, "", "")
	// Where nobody is named the link is enough: only those who may decide were shown it.
	decision := k.as("").with("Accept", json_).get(link(id, code, "disapprove")).object()
	require.Equal(t, []any{"disapproved", "somebody with the link"}, []any{decision["status"], decision["decided_by"]})
	// A wrong credential is refused all the same.
	id, code = waiting(k, "", "")
	bad := &caller{k: k, token: "slw_garbage", head: http.Header{"Accept": {json_}}}
	bad.get(link(id, code, "approve")).is(http.StatusUnauthorized)
	require.Equal(t, models.ConfirmationPending, status(k, id))
}

func TestConfirmationWithAWrongCode(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	id, code := waiting(k, "", "")
	other, otherCode := waiting(k, "", "")
	for name, path := range map[string]string{
		"a wrong code":               link(id, "wrong", "approve"),
		"the code of another run":    link(id, otherCode, "approve"),
		"the run of another code":    link(other, code, "approve"),
		"another pipeline":           strings.Replace(link(id, code, "approve"), "/ship/", "/other/", 1),
		"another project":            strings.Replace(link(id, code, "approve"), "/shop/", "/other/", 1),
		"an unknown verb":            link(id, code, "ignore"),
		"a slash more":               link(id, code, "approve/"),
		"the hash in place of code":  link(id, models.HashCode(code), "approve"),
		"an id that is none":         link("x", code, "approve"),
		"an escaped slash in a code": link(id, "%2F", "approve"),
	} {
		for _, accept := range []string{json_, "text/html"} {
			require.Equal(t, http.StatusNotFound, k.as("admin").with("Accept", accept).get(path).status, "%s, %s", name, accept)
		}
	}
	require.Equal(t, models.ConfirmationPending, status(k, id))
	require.Equal(t, models.ConfirmationPending, status(k, other))
}

// TestConfirmationOfSomebody: where a user or team is named, it takes that person, logged in. Not even an administrator
// is somebody else.
func TestConfirmationOfSomebody(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		ctx := context.Background()
		id, code := waiting(k, "rita", "")
		require.Equal(t, "only the user 'rita' may decide this: log in first", k.as("").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusUnauthorized))
		for _, user := range []string{"admin", "olga", "walter", "sam"} {
			require.Equal(t, "only the user 'rita' may decide this, not "+user, k.as(user).with("Accept", json_).get(link(id, code, "approve")).is(http.StatusForbidden))
			page := k.as(user).get(link(id, code, "approve")).ok()
			require.NotContains(t, page, "<button")
			require.Contains(t, page, "only the user &#39;rita&#39; may decide this")
			if user != "sam" {
				require.NotContains(t, k.as(user).get(pipelines+"by-name/ship/executions/"+id+"/").ok(), code, "only those who may decide see the link")
			}
		}
		require.Contains(t, k.as("rita").get(pipelines+"by-name/ship/executions/"+id+"/").ok(), code)
		require.Equal(t, "approved", k.as("rita").with("Accept", json_).get(link(id, code, "approve")).object()["status"])

		org, err := k.store.OrganizationByCanonical(ctx, models.DefaultOrganization)
		require.NoError(t, err)
		team := &models.Team{OrganizationID: org.ID, Name: "deciders"}
		require.NoError(t, k.store.CreateTeam(ctx, team))
		sam, err := k.store.UserByName(ctx, "sam")
		require.NoError(t, err)
		id, code = waiting(k, "", "deciders")
		k.as("sam").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusForbidden)
		require.NoError(t, k.store.AddTeamMember(ctx, team.ID, sam.ID))
		require.Equal(t, "sam", k.as("sam").with("Accept", json_).get(link(id, code, "disapprove")).object()["decided_by"])
		require.Equal(t, models.ConfirmationDisapproved, status(k, id))
	})
}

func TestConfirmationAfterTheEnd(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	id, code := waiting(k, "", "")
	_, err := k.store.FinishExecution(context.Background(), id, models.StatusCancelled, "cancelled by walter")
	require.NoError(t, err)
	require.Contains(t, k.as("walter").with("Accept", json_).get(link(id, code, "approve")).is(http.StatusConflict), "the pipeline's execution has ended")
	page := k.as("walter").get(link(id, code, "approve")).ok()
	require.NotContains(t, page, "<button")
	require.Contains(t, page, "there is nothing left to decide")
}

// TestR9ManyDecideAtOnce: 100 callers approve and disapprove at the same instant; one decision is made.
func TestR9ManyDecideAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		ship(k)
		id, code := waiting(k, "", "")
		var decided, refused atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for i := range 100 {
			wg.Go(func() {
				<-begin
				verb := []string{"approve", "disapprove"}[i%2]
				switch k.as([]string{"walter", "olga", ""}[i%3]).with("Accept", json_).get(link(id, code, verb)).status {
				case http.StatusOK:
					decided.Add(1)
				case http.StatusConflict:
					refused.Add(1)
				}
			})
		}
		close(begin)
		wg.Wait()
		require.Equal(t, []int64{1, 99}, []int64{decided.Load(), refused.Load()})
		require.Len(t, k.temporal.signalled, 1)
	})
}

// browser keeps cookies, as one does.
func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar}
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func TestConfirmationPage(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	id, code := waiting(k, "", "")
	b := browser(t)
	read := func(res *http.Response, err error) (*http.Response, string) {
		t.Helper()
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, string(text)
	}
	res, page := read(b.Get(k.server.URL + link(id, code, "approve")))
	require.Equal(t, http.StatusOK, res.StatusCode)
	for _, want := range []string{"go to production?", "ship", "#1", "shop", "deploy web to prod", "Approve", "Disapprove", "triggered by walter"} {
		require.Contains(t, page, want)
	}
	policy := res.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.Contains(t, policy, "frame-ancestors 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "no-referrer", res.Header.Get("Referrer-Policy"))
	require.NotContains(t, page, "<script")
	action := k.server.URL + "/api/v1/slipway/confirmations/" + id + "/" + code
	require.Contains(t, page, strings.TrimPrefix(action, k.server.URL))
	token := csrfField.FindStringSubmatch(page)[1]

	// Another site can send the form, but not the token.
	for name, form := range map[string]url.Values{
		"no token":    {"decision": {"approve"}},
		"a wrong one": {"decision": {"approve"}, "csrf": {strings.Repeat("x", len(token))}},
	} {
		res, again := read(b.PostForm(action, form))
		require.Equal(t, http.StatusForbidden, res.StatusCode, name)
		require.Contains(t, again, "Not decided: this page had expired", "a page for a person")
		require.Contains(t, again, `id="approve"`)
		// The page that came has the token that is good from now on; the one before is not any more, as in another tab.
		require.NotEqual(t, token, csrfField.FindStringSubmatch(again)[1])
		token = csrfField.FindStringSubmatch(again)[1]
	}
	res, _ = read(browser(t).PostForm(action, url.Values{"decision": {"approve"}, "csrf": {token}}))
	require.Equal(t, http.StatusForbidden, res.StatusCode, "a token without its cookie")
	res, text := read(b.PostForm(action, url.Values{"decision": {"explode"}, "csrf": {token}}))
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Contains(t, text, `"kind":"invalid"`)
	res, _ = read(b.PostForm(k.server.URL+"/api/v1/slipway/confirmations/"+id+"/wrong", url.Values{"decision": {"approve"}, "csrf": {token}}))
	require.NotEqual(t, http.StatusOK, res.StatusCode)
	require.Equal(t, models.ConfirmationPending, status(k, id))

	res, page = read(b.PostForm(action, url.Values{"decision": {"disapprove"}, "csrf": {token}}))
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, page, "This was disapproved by somebody with the link on 20")
	require.NotContains(t, page, "<button")
	res, page = read(b.PostForm(action, url.Values{"decision": {"approve"}, "csrf": {token}}))
	require.Equal(t, http.StatusConflict, res.StatusCode)
	require.Contains(t, page, "Too late: this was disapproved already, by somebody with the link at 20")
	require.Equal(t, models.ConfirmationDisapproved, status(k, id))
}

// TestS16ConfirmationPageEscapes: names are data.
func TestS16ConfirmationPageEscapes(t *testing.T) {
	k := onSQLite(t)
	withThings(k)
	p := aPipeline("ship")
	p["phases"].([]any)[2].(map[string]any)["name"] = `<script>alert(1)</script>`
	p["phases"].([]any)[2].(map[string]any)["steps"].([]any)[0].(map[string]any)["name"] = `"><img src=x onerror=alert(1)>`
	k.as("olga").post(pipelines+"add", p).ok()
	id, code := waiting(k, "", "")
	page := k.as("").get(link(id, code, "approve")).ok()
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "<img")
	require.Contains(t, page, "&lt;script&gt;")
}
