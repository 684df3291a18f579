// Package deploy holds what installs Slipway. There is no engine to run containers in the tests: they load the files with
// real parsers and hold them against the code.
package deploy

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"slipway/internal/config"
	"slipway/worker"
)

func load(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithEnv(env), cli.WithDiscardEnvFile)
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func mustLoad(t *testing.T) *types.Project {
	t.Helper()
	project, err := load(t, "POSTGRES_PASSWORD=s3cr:t/@?")
	require.NoError(t, err)
	return project
}

// slipwayServices are those that run this program, with the subcommand of each.
func slipwayServices(t *testing.T, project *types.Project) map[string]types.ServiceConfig {
	t.Helper()
	services := map[string]types.ServiceConfig{}
	for name, service := range project.Services {
		if service.Image == "slipway" {
			require.NotEmpty(t, service.Command, name)
			services[name] = service
		}
	}
	require.GreaterOrEqual(t, len(services), 5)
	return services
}

// variables are the names that the configuration reads.
func variables() map[string]bool {
	names := map[string]bool{}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name != "" {
			names[name] = true
		}
	}
	return names
}

func TestComposeHasNoDefaultPassword(t *testing.T) {
	_, err := load(t)
	require.ErrorContains(t, err, "POSTGRES_PASSWORD")
	_, err = load(t, "POSTGRES_PASSWORD=")
	require.ErrorContains(t, err, "POSTGRES_PASSWORD")
}

func TestComposeSetsOnlyVariablesThatExist(t *testing.T) {
	known := variables()
	require.Contains(t, known, "SLIPWAY_DATABASE_URL")
	for name, service := range mustLoad(t).Services {
		for variable := range service.Environment {
			if strings.HasPrefix(variable, "SLIPWAY_") {
				require.Contains(t, known, variable, "service %s", name)
			}
		}
	}
}

func TestComposeConfigurationIsAccepted(t *testing.T) {
	project, err := load(t, "POSTGRES_PASSWORD=secret")
	require.NoError(t, err)
	for name, service := range slipwayServices(t, project) {
		t.Run(name, func(t *testing.T) {
			for variable := range variables() {
				t.Setenv(variable, "") // restored afterwards
				require.NoError(t, os.Unsetenv(variable))
			}
			for variable, value := range service.Environment {
				require.NotNil(t, value, variable)
				t.Setenv(variable, *value)
			}
			loaded, err := config.Load("")
			require.NoError(t, err)
			require.Equal(t, "token", loaded.Auth)
			require.False(t, loaded.Development)
			require.Contains(t, string(loaded.DatabaseURL), "@postgres:5432/slipway")
			require.Equal(t, service.Command[0] == "api", loaded.Listen == "0.0.0.0:7770")
		})
	}
}

func TestComposeWorkersServeEveryQueue(t *testing.T) {
	served := map[string]bool{}
	for name, service := range slipwayServices(t, mustLoad(t)) {
		require.Contains(t, []string{"api", "worker", "migrate"}, service.Command[0], name)
		if service.Command[0] != "worker" {
			continue
		}
		require.Len(t, service.Command, 3, name)
		require.Equal(t, "--queues", service.Command[1])
		for queue := range strings.SplitSeq(service.Command[2], ",") {
			served[queue] = true
		}
		require.Empty(t, service.ContainerName, "a fixed name cannot be scaled")
		require.Empty(t, service.Ports, "a port of the host cannot be scaled")
	}
	want := map[string]bool{}
	for _, queue := range worker.Queues {
		want[queue] = true
	}
	require.Equal(t, want, served)
}

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	published := []string{}
	for name, service := range mustLoad(t).Services {
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, name)
			published = append(published, name)
		}
	}
	slices.Sort(published)
	require.Equal(t, []string{"api", "temporal-ui"}, published)
}

func TestComposeImagesArePinned(t *testing.T) {
	for name, service := range mustLoad(t).Services {
		if service.Build != nil {
			require.FileExists(t, filepath.Join(service.Build.Context, service.Build.Dockerfile), name)
			continue
		}
		_, tag, ok := strings.Cut(service.Image, ":")
		require.True(t, ok, "%s: %s", name, service.Image)
		require.Regexp(t, `^[0-9]`, tag, name)
	}
}

func TestComposeMountsExist(t *testing.T) {
	project := mustLoad(t)
	for name, service := range project.Services {
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				require.DirExists(t, volume.Source, name)
			} else {
				require.Contains(t, project.Volumes, volume.Source, name)
			}
		}
	}
}

func TestDynamicConfigurationIsWellFormed(t *testing.T) {
	content, err := os.ReadFile("temporal/dynamicconfig.yaml")
	require.NoError(t, err)
	var values map[string][]struct {
		Value any `yaml:"value"`
	}
	require.NoError(t, yaml.Unmarshal(content, &values))
	require.Equal(t, true, values["system.enableActivityEagerExecution"][0].Value)
}

func TestImageRunsAsAnOrdinaryUser(t *testing.T) {
	content, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	user := ""
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "FROM ") {
			user = "root" // each stage begins again
		}
		if rest, ok := strings.CutPrefix(line, "USER "); ok {
			user = strings.TrimSpace(rest)
		}
	}
	require.Equal(t, "10001:10001", user)
}

func TestExampleEnvironmentSetsNothingUnknown(t *testing.T) {
	compose, err := os.ReadFile("compose.yaml")
	require.NoError(t, err)
	example, err := os.ReadFile(".env.example")
	require.NoError(t, err)
	for line := range strings.Lines(string(example)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		require.Contains(t, string(compose), "${"+name, "nothing reads it")
		if strings.Contains(name, "PASSWORD") {
			require.Empty(t, value)
		}
	}
}
