package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/client"
)

// S5: what a script starts elsewhere can write into the log of its execution, with a token that is good for nothing else, is
// never shown, and ends with the execution.
func TestS5ScriptsWriteToTheirLog(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{})
	p := s.project("shop")
	said, goOn := filepath.Join(p.dir, "said"), filepath.Join(p.dir, "go-on")
	script := []string{
		`[ "$step" = build ] || [ "$step" = deploy ] || exit 0`,
		`echo "it runs, with $SLIPWAY_RUN_TOKEN"`,
		`printf '%s\n%s\n' "$SLIPWAY_LOGS_URL" "$SLIPWAY_RUN_TOKEN" >` + said + `.new && mv ` + said + `.new ` + said,
		`until [ -e ` + goOn + ` ]; do sleep 0.02; done; rm ` + goOn,
		`echo "it ends"`,
	}
	p.release()
	p.build("web", script...)
	p.job("web", "web", script...)
	for kind, trigger := range map[string]func(string) client.Ref{"build": p.trigger, "job": p.deploy} {
		t.Run(kind, func(t *testing.T) {
			ref := trigger("web")
			await(t, "the script runs", func() (bool, string) { _, err := os.Stat(said); return err == nil, s.logText(ref) })
			b, err := os.ReadFile(said)
			require.NoError(t, err)
			require.NoError(t, os.Remove(said))
			address, token, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
			require.Contains(t, address, ref.ID)
			ask := func(method, url, body string) (int, string) {
				r, err := http.NewRequest(method, url, bytes.NewReader([]byte(body)))
				require.NoError(t, err)
				r.Header.Set("X-Escape-Token", token)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded") // what curl says by itself
				res, err := http.DefaultClient.Do(r)
				require.NoError(t, err)
				text, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				return res.StatusCode, string(text)
			}
			await(t, "its first line is stored", func() (bool, string) { text := s.logText(ref); return strings.Contains(text, "it runs"), text })
			status, text := ask("POST", address, `{"message":"from elsewhere"}`)
			require.Equal(t, http.StatusOK, status, text)
			for _, other := range [][2]string{
				{"GET", s.url + "/api/v1/state/shop/environments/dev/builds/"},
				{"POST", s.url + "/api/v1/state/shop/environments/dev/builds/by-name/web/trigger-build"},
				{"POST", strings.Replace(address, ref.ID, "01900000-0000-7000-8000-000000000000", 1)},
				{"DELETE", s.url + "/api/v1/state/shop/"},
			} {
				status, text := ask(other[0], other[1], `{"message":"more"}`)
				require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, status, "%v: %s", other, text)
			}
			require.NoError(t, os.WriteFile(goOn, nil, 0o666))
			s.ok(ref)
			log := s.logText(ref)
			require.Less(t, strings.Index(log, "it runs, with "), strings.Index(log, "from elsewhere"), log)
			require.Less(t, strings.Index(log, "from elsewhere"), strings.Index(log, "it ends"), log)
			require.NotContains(t, log, token)
			await(t, "the token has ended", func() (bool, string) {
				status, text := ask("POST", address, `{"message":"too late"}`)
				return status == http.StatusUnauthorized, text
			})
			require.NotContains(t, s.logText(ref), token)
		})
	}
}
