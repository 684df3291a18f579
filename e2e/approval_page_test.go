package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"slipway/internal/client"
	"slipway/internal/testenv"
	"slipway/models"
)

// The approval page in a real browser: a person with the link sees what they decide about, and clicks.
func TestR9ApprovalPage(t *testing.T) {
	t.Parallel()
	chromium := testenv.Chromium(t)
	s := newStack(t, stackOptions{sqlite: true})
	p := s.project("page")
	p.release()
	p.job("web", "", "echo $step")
	p.pipeline("to production", []client.PipelineStep{{Name: "go to <b>production</b>?", Type: client.StepConfirmation}},
		[]client.PipelineStep{{Name: "the deployment", Type: client.StepDeploy, Deployment: "web"}})

	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1000, 800))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()

	for _, c := range []struct {
		button string
		ends   models.Status
		says   string
	}{{"#approve", models.StatusOK, "approved"}, {"#disapprove", models.StatusFailed, "disapproved"}} {
		ref := p.triggerPipeline("to production")
		link := s.link(ref)
		require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(link), chromedp.WaitVisible(chromedp.CSS("#approve")), chromedp.WaitVisible(chromedp.CSS("#disapprove"))))
		title, body, step := see(t, ctx, chromedp.Title()), see(t, ctx, chromedp.Text(chromedp.CSS("body"))), see(t, ctx, chromedp.Text(chromedp.CSS("h1")))
		screenshot := see(t, ctx, chromedp.FullScreenshot(100))
		file := filepath.Join(t.TempDir(), "confirmation.png")
		require.NoError(t, os.WriteFile(file, screenshot, 0o600))
		require.Greater(t, len(screenshot), 5000, "the screenshot in %s shows something", file)
		require.Equal(t, "go to <b>production</b>?", step, "markup in a name is text")
		require.Contains(t, title, "to production")
		for _, text := range []string{"page", "to production", "the deployment", "admin"} {
			require.Contains(t, body, text)
		}
		require.Equal(t, string(models.StatusWaiting), s.execution(ref).Outcome, "looking at it decides nothing")

		require.NoError(t, chromedp.Do(ctx, chromedp.Click(chromedp.CSS(c.button)), chromedp.WaitVisible(chromedp.CSS("#decision"))))
		decision, body := see(t, ctx, chromedp.Text(chromedp.CSS("#decision"))), see(t, ctx, chromedp.Text(chromedp.CSS("body")))
		require.Contains(t, decision, "This was "+c.says)
		require.NotContains(t, body, "Approve\n", "no button is left")
		s.reaches(ref, c.ends)
		// The same link later: what was decided, and nothing to click.
		require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(link), chromedp.WaitVisible(chromedp.CSS("#decision"))))
		require.Zero(t, see(t, ctx, chromedp.Evaluate[int]("document.querySelectorAll('button').length")))
	}
}

// see reads something of the page.
func see[T any](t testing.TB, ctx context.Context, a chromedp.Action[T]) T { //nolint:revive // the browser is in the context
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	require.NoError(t, err)
	return v
}
