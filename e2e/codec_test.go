package e2e

import (
	"encoding/base64"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
	"slipway/internal/temporaldev"
)

var base64Text = regexp.MustCompile(`"[A-Za-z0-9+/]{8,}=*"`)

// The Temporal command shows nothing of an encrypted history by itself, and all of it through Slipway's codec.
func TestTheTemporalCommandReadsAnEncryptedHistory(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{sqlite: true, tune: func(c *config.Config) { c.TemporalEncrypt = true }})
	p := s.project("sealed")
	p.build("broken", "exit 42")
	ref := p.trigger("broken")
	s.failed(ref, "status 42")
	command, err := temporaldev.FindCommand()
	require.NoError(t, err)
	show := func(more ...string) string {
		out, err := exec.CommandContext(t.Context(), command, append([]string{"workflow", "show", "--address", s.temporal.HostPort,
			"--namespace", s.namespace, "--workflow-id", ref.ID, "--output", "json"}, more...)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		// The command prints the bytes of payloads in base64.
		return base64Text.ReplaceAllStringFunc(string(out), func(data string) string {
			if b, err := base64.StdEncoding.DecodeString(strings.Trim(data, `"`)); err == nil {
				return string(b)
			}
			return data
		})
	}
	closed := show()
	require.NotContains(t, closed, "status 42")
	require.Contains(t, closed, "binary/slipway-encrypted")
	require.Contains(t, show("--codec-endpoint", s.url+"/api/v1/slipway/temporal", "--codec-auth", "Bearer "+s.token), "status 42")
}
