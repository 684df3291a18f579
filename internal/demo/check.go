package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/client"
	"slipway/internal/release"
	"slipway/internal/state"
)

// front is what the storefront answers.
type front struct {
	Version     string `json:"version"`
	Environment string `json:"environment"`
	Greeting    string `json:"greeting"`
}

// askProduction asks the new version in prod over HTTP, after its smoke tests.
func (d *demo) askProduction(ctx context.Context) (string, error) {
	for _, app := range applications {
		if err := d.act(ctx, "prod", app, client.Smoke); err != nil {
			return "", err
		}
	}
	address, err := d.ask(ctx, "prod")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s, version %s", address, languages["prod"].greeting, d.versions[storefront.name]), nil
}

// ask asks an environment's storefront and holds the answer against the newest release and the environment's inputs. It
// returns the address.
func (d *demo) ask(ctx context.Context, environment string) (string, error) {
	if err := d.lookUpVersions(ctx); err != nil {
		return "", err
	}
	address, err := d.address(ctx, environment)
	if err != nil {
		return "", err
	}
	got, err := get(ctx, address)
	if err != nil {
		return "", err
	}
	want := front{Version: d.versions[storefront.name], Environment: environment, Greeting: languages[environment].greeting}
	if got != want {
		return "", fmt.Errorf("%s answers %+v, not %+v", address, got, want)
	}
	d.transcript.say("  %s answers: version %s in %s: %s", address, got.Version, got.Environment, got.Greeting)
	d.transcript.note(row{what: "  ask the storefront in " + environment, status: "ok", where: address})
	return address, nil
}

// lookUpVersions asks the inventory which versions were built.
func (d *demo) lookUpVersions(ctx context.Context) error {
	if d.versions != nil {
		return nil
	}
	versions := map[string]string{}
	for _, app := range applications {
		found, err := d.client.Release(ctx, namespace, app.name, "latest")
		if err != nil {
			return fmt.Errorf("newest release of %s: %w", app.name, err)
		}
		if found.Metadata == nil || found.Metadata.Version == "" {
			return fmt.Errorf("the newest release of %s has no version", app.name)
		}
		versions[app.name] = found.Metadata.Version
	}
	d.versions = versions
	return nil
}

// address is the output url of an environment's storefront.
func (d *demo) address(ctx context.Context, environment string) (string, error) {
	found, err := d.client.Environment(ctx, project, environment)
	if err != nil {
		return "", err
	}
	deployment := found.Deployments[storefront.deployment]
	if deployment == nil || deployment.Stages[state.StageDeploy] == nil {
		return "", fmt.Errorf("%s is not deployed in %s", storefront.deployment, environment)
	}
	address, _ := deployment.Stages[state.StageDeploy].CalculatedOutputs["url"].(string)
	if address == "" {
		return "", fmt.Errorf("%s in %s has no output url", storefront.deployment, environment)
	}
	return address, nil
}

// get asks a storefront.
func get(ctx context.Context, address string) (front, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return front{}, err
	}
	request.Close = true // a connection kept open would outlive the service
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return front{}, err
	}
	defer response.Body.Close()
	var got front
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&got); err != nil {
		return front{}, fmt.Errorf("%s: %s: %w", address, response.Status, err)
	}
	return got, nil
}

// checkInventory holds the releases against what was built, and downloads their packages.
func (d *demo) checkInventory(ctx context.Context) (string, error) {
	var remarks []string
	for _, app := range applications {
		remark, err := d.checkRelease(ctx, app)
		if err != nil {
			return "", fmt.Errorf("release of %s: %w", app.name, err)
		}
		remarks = append(remarks, remark)
	}
	return strings.Join(remarks, "; "), nil
}

func (d *demo) checkRelease(ctx context.Context, app application) (string, error) {
	found, err := d.client.Release(ctx, namespace, app.name, "v"+d.versions[app.name])
	if err != nil {
		return "", err
	}
	m := found.Metadata
	var wrong []error
	expect := func(what, got, want string) {
		if got != want {
			wrong = append(wrong, fmt.Errorf("%s is %q, not %q", what, got, want))
		}
	}
	expect("name", m.Project+"/"+m.Name, namespace+"/"+app.name)
	expect("version", m.Version, d.versions[app.name])
	expect("commit", m.Revision, d.commit)
	expect("branch", m.Branch, "main")
	expect("metadata team", m.Metadata["team"], "shop")
	if !strings.HasPrefix(m.Version, "0.1.") {
		wrong = append(wrong, fmt.Errorf("version %s does not follow from 0.1.@", m.Version))
	}
	if !found.IsLatest {
		wrong = append(wrong, errors.New("it is not the latest"))
	}
	if app == storefront {
		if len(m.Depends) != 1 {
			wrong = append(wrong, fmt.Errorf("it has %d dependencies, not 1", len(m.Depends)))
		} else {
			expect("dependency", m.Depends[0].ReleaseID, namespace+"/"+greeter.name+"-v"+d.versions[greeter.name])
		}
		if _, ok := m.Files["bin/storefront"]; !ok {
			wrong = append(wrong, errors.New("the compiled service is not in it"))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	if err := d.checkPackage(ctx, m); err != nil {
		return "", fmt.Errorf("package: %w", err)
	}
	return fmt.Sprintf("%s with %d files", m.ID(), len(m.Files)), nil
}

// checkPackage downloads a package, unpacks it and holds every file against the checksums in the inventory.
func (d *demo) checkPackage(ctx context.Context, m *release.Metadata) error {
	body, err := d.client.Download(ctx, namespace, m.Name, "v"+m.Version)
	if err != nil {
		return err
	}
	defer body.Close()
	dir := filepath.Join(d.Dir, "packages", m.Folder())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := release.Unpack(body, m.ID(), release.DefaultLimits, root); err != nil {
		return err
	}
	// Unpack trusts the release.json inside; this trusts only the inventory.
	for name, want := range m.Files {
		file, err := root.Open(name)
		if err != nil {
			return err
		}
		got, err := release.Checksum(file)
		file.Close()
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("checksum of %s is %s, not %s", name, got, want)
		}
	}
	return nil
}

// destroy takes everything down, prod last, and makes sure that it is gone.
func (d *demo) destroy(ctx context.Context) (string, error) {
	var addresses []string
	for _, environment := range environments {
		address, err := d.address(ctx, environment)
		if err != nil {
			return "", err
		}
		addresses = append(addresses, address)
	}
	for _, environment := range environments {
		// The storefront first: it was deployed on top of the other.
		for _, app := range []application{storefront, greeter} {
			if err := d.act(ctx, environment, app, client.Destroy); err != nil {
				return "", err
			}
		}
	}
	for _, address := range addresses {
		if got, err := get(ctx, address); err == nil {
			return "", fmt.Errorf("%s still answers: %+v", address, got)
		}
	}
	for _, environment := range environments {
		left, err := os.ReadDir(d.runDir(environment))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if len(left) > 0 {
			return "", fmt.Errorf("%s is left in %s", left[0].Name(), d.runDir(environment))
		}
		if err := d.nothingDeployed(ctx, environment); err != nil {
			return "", err
		}
	}
	return "nobody answers any more, nothing is left", nil
}

// nothingDeployed says whether the state agrees.
func (d *demo) nothingDeployed(ctx context.Context, environment string) error {
	found, err := d.client.Environment(ctx, project, environment)
	if err != nil {
		return err
	}
	for name, deployment := range found.Deployments {
		stage := deployment.Stages[state.StageDeploy]
		if stage != nil && stage.Status != nil && stage.Status.Code != state.Empty {
			return fmt.Errorf("the state of %s in %s is %s after it was destroyed", name, environment, stage.Status.Code)
		}
	}
	return nil
}
