package state_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// realBrowser starts a browser of the test's own; the context is its page.
func realBrowser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(testenv.Chromium(t)), chromedp.WindowSize(1000, 800))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// TestConfirmationPageInABrowser clicks the buttons in a real browser, which also applies the page's content security
// policy, cookies and form rules.
func TestConfirmationPageInABrowser(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	ctx := realBrowser(t)
	for _, c := range []struct{ button, want string }{{"#approve", models.ConfirmationApproved}, {"#disapprove", models.ConfirmationDisapproved}} {
		id, code := waiting(k, "", "")
		_, err := chromedp.Run(ctx, chromedp.Navigate(k.server.URL+link(id, code, "approve")))
		require.NoError(t, err)
		title, err := chromedp.Run(ctx, chromedp.Title())
		require.NoError(t, err)
		_, err = chromedp.Run(ctx, chromedp.Click(c.button))
		require.NoError(t, err)
		decision, err := chromedp.Run(ctx, chromedp.Text("#decision"))
		require.NoError(t, err)
		buttons, err := chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll("button").length`))
		require.NoError(t, err)
		require.Contains(t, title, "go to production?: ship #")
		require.Contains(t, decision, "This was "+c.want+" by somebody with the link on 20")
		require.Zero(t, buttons, "there is nothing left to click")
		require.Equal(t, c.want, status(k, id))
	}
}

// pageOf opens a link in the browser, as a user who is logged in there, and gives the text of the page and how many buttons it
// has. A screenshot of it goes to the test's artifacts.
func pageOf(t *testing.T, ctx context.Context, k *kit, user, path string) (text string, buttons int) { //nolint:revive // the browser is in the context
	t.Helper()
	_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
	require.NoError(t, err)
	if user != "" {
		_, err = chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: "X-Escape-Token", Value: k.tokens[user], URL: k.server.URL})
		require.NoError(t, err)
	}
	_, err = chromedp.Run(ctx, chromedp.Navigate(k.server.URL+path))
	require.NoError(t, err)
	return shown(t, ctx)
}

func shown(t *testing.T, ctx context.Context) (text string, buttons int) { //nolint:revive // the browser is in the context
	t.Helper()
	text, err := chromedp.Run(ctx, chromedp.Text("body"))
	require.NoError(t, err)
	buttons, err = chromedp.Run(ctx, chromedp.Evaluate[int](`document.querySelectorAll("button").length`))
	require.NoError(t, err)
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	file := filepath.Join(t.ArtifactDir(), fmt.Sprintf("page-%d.png", time.Now().UnixNano()))
	require.NoError(t, os.WriteFile(file, picture, 0o600))
	return text, buttons
}

// What people see who may not decide, who are not the only ones to decide, or who come late.
func TestConfirmationPagesInABrowser(t *testing.T) {
	k := onSQLite(t)
	ship(k)
	ctx := realBrowser(t)
	approve := func(then string) (string, int) { // then is what the page has that answers
		t.Helper()
		require.NoError(t, chromedp.Do(ctx, chromedp.Click("#approve"), chromedp.WaitVisible(then)))
		return shown(t, ctx)
	}

	id, code := waitingFor(k, models.Confirmation{FourEyes: true}) // walter triggers it
	text, buttons := pageOf(t, ctx, k, "walter", link(id, code, "approve"))
	require.Contains(t, text, "You cannot decide here: walter triggered this, and four eyes must see it: somebody else decides.")
	require.Contains(t, text, "whoever triggered the run may not decide")
	require.Zero(t, buttons)
	text, buttons = pageOf(t, ctx, k, "", link(id, code, "approve"))
	require.Contains(t, text, "log in first")
	require.Zero(t, buttons)
	_, buttons = pageOf(t, ctx, k, "olga", link(id, code, "approve"))
	require.Equal(t, 2, buttons)

	// One of two.
	id, code = waitingFor(k, models.Confirmation{Approvals: 2})
	text, buttons = pageOf(t, ctx, k, "walter", link(id, code, "approve"))
	require.Contains(t, text, "0 of 2 people have approved")
	require.Equal(t, 2, buttons)
	text, _ = approve("#votes")
	require.Contains(t, text, "1 of 2 people have approved")
	require.Contains(t, text, "approved by walter on 20")
	text, _ = approve("[role=alert]")
	require.Contains(t, text, "you have approved this already: it takes 2 different people")
	require.Equal(t, models.ConfirmationPending, status(k, id))
	pageOf(t, ctx, k, "olga", link(id, code, "approve"))
	text, buttons = approve("#decision")
	require.Contains(t, text, "This was approved by walter, olga on 20")
	require.Zero(t, buttons)

	// Decided before, while the page was open.
	id, code = waitingFor(k, models.Confirmation{})
	pageOf(t, ctx, k, "walter", link(id, code, "approve"))
	k.as("olga").with("Accept", json_).get(link(id, code, "disapprove")).ok()
	text, buttons = approve("#decision")
	require.Contains(t, text, "Too late: this was disapproved already, by olga at 20")
	require.Contains(t, text, "This was disapproved by olga on 20")
	require.Zero(t, buttons)

	// Reminded, and then its time is over.
	soon := k.store.Now().Add(time.Hour)
	id, code = waitingFor(k, models.Confirmation{ExpiresAt: &soon, RemindSeconds: 600, RemindAt: &soon})
	list, err := k.store.ConfirmationsOf(t.Context(), id)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, k.store.ConfirmationReminded(t.Context(), &list[0]))
		list[0].Reminders++
	}
	text, buttons = pageOf(t, ctx, k, "olga", link(id, code, "approve"))
	require.Contains(t, text, "reminded 2 times since")
	require.Contains(t, text, soon.Format("2006-01-02 15:04 MST"))
	require.Equal(t, 2, buttons)
	past := k.store.Now().Add(-time.Minute)
	id, code = waitingFor(k, models.Confirmation{ExpiresAt: &past})
	text, buttons = pageOf(t, ctx, k, "olga", link(id, code, "approve"))
	require.Contains(t, text, "Nobody decided in time: this timed out.")
	require.Zero(t, buttons)
}
