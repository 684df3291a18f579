package state_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"slipway/internal/testenv"
	"slipway/models"
)

// TestConfirmationPageInABrowser clicks the buttons in a real browser, which also applies the page's content security
// policy, cookies and form rules.
func TestConfirmationPageInABrowser(t *testing.T) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(testenv.Chromium(t)))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	k := onSQLite(t)
	ship(k)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
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
