//go:build bench

package assets

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/models"
)

// What realistic names are made of: registries and images that many clusters run, and the services of teams.
var (
	registries = []string{"docker.io", "docker.io", "docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "mcr.microsoft.com", "gcr.io", "public.ecr.aws", "registry.acme.example"}
	publics    = []string{"library/nginx", "library/redis", "library/postgres", "library/busybox", "library/python", "library/node", "grafana/grafana", "prom/prometheus", "bitnami/kafka",
		"kube-proxy", "coredns/coredns", "etcd", "pause", "ingress-nginx/controller", "argoproj/argocd", "jetstack/cert-manager-controller", "istio/proxyv2", "calico/node", "cilium/cilium", "fluent/fluent-bit"}
	teams    = []string{"payments", "checkout", "search", "identity", "catalog", "shipping", "billing", "fraud", "mobile", "data", "platform", "growth", "support", "partners", "media", "pricing"}
	services = []string{"api", "web", "worker", "gateway", "scheduler", "importer", "exporter", "consumer", "frontend", "backend", "migrations", "cron", "proxy", "notifier", "reporter", "nginx"}
	labels   = []string{"internet-facing", "pci", "gdpr", "legacy", "critical", "internal", "deprecated", "golden", "team/payments", "team/search", "soc2", "beta"}
	envs     = []string{"production", "staging", "development", "test"}
)

// generate makes image n. The same number is always the same image. There are about 20 images to a repository.
func generate(n int) models.Image {
	r := rand.New(rand.NewPCG(uint64(n), 2026))
	hex := func() string {
		return fmt.Sprintf("sha256:%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	img := models.Image{Registry: registries[r.IntN(len(registries))], ConfigDigest: hex(), OS: "linux", Architecture: "amd64", SizeBytes: 5_000_000 + r.Int64N(900_000_000)}
	if r.IntN(5) == 0 {
		img.Repository = publics[r.IntN(len(publics))]
	} else {
		// A few repositories have most images, most have a few.
		team, service := teams[r.IntN(len(teams))], services[r.IntN(len(services))]
		img.Repository = fmt.Sprintf("%s/%s-%d", team, service, int(float64(250)*r.Float64()*r.Float64()))
	}
	if r.IntN(4) == 0 {
		img.Architecture = "arm64"
	}
	img.Digests = []models.AssetDigests{{Manifest: hex()}}
	img.ImageTags = []string{fmt.Sprintf("v%d.%d.%d", r.IntN(5), r.IntN(30), r.IntN(100))}
	for range r.IntN(3) {
		img.Labels = append(img.Labels, labels[r.IntN(len(labels))])
	}
	if n%50_000 == 7 {
		img.Labels = append(img.Labels, "rare-label")
	}
	img.Tags = map[string]string{"env": envs[r.IntN(len(envs))]}
	if r.IntN(2) == 0 {
		img.Tags["owner"] = fmt.Sprintf("%s-%d", teams[r.IntN(len(teams))], r.IntN(40))
	}
	if r.IntN(3) > 0 {
		img.Class = models.AssetClasses[r.IntN(4)]
	}
	created := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(int64(700 * 24 * time.Hour))))
	built := created.Add(-time.Duration(r.Int64N(int64(24 * time.Hour))))
	img.CreatedAt, img.BuiltAt = &created, &built
	img.ImageLabels = imageLabels(n, img.Repository, img.ImageTags[0])
	img.Document = json.RawMessage(fmt.Sprintf(`{"author":"build","config":{"cmd":["/app"],"entry_point":["/bin/sh","-c"],"env":["PATH=/usr/bin","VERSION=%d"],"user":"1000","working_dir":"/srv"},"root_fs":{"type":"layers","diff_ids":["%s","%s"]},"history":[{"created_by":"COPY . /srv"},{"created_by":"CMD /app","empty_layer":true}]}`,
		n, hex(), hex()))
	return img
}

// imageLabels makes the labels of image n. Three in five images have those that builds commonly set, of which each has another
// revision, and half of these have a maintainer.
func imageLabels(n int, repository, version string) map[string]string {
	r := rand.New(rand.NewPCG(uint64(n), 2027))
	if r.IntN(5) < 2 {
		return nil
	}
	const vendor = "org.opencontainers.image."
	list := map[string]string{vendor + "source": "https://git.acme.example/" + repository, vendor + "version": version,
		vendor + "revision": fmt.Sprintf("%016x%016x%08x", r.Uint64(), r.Uint64(), r.Uint32())}
	if r.IntN(2) == 0 {
		list["maintainer"] = fmt.Sprintf("%s-%d@acme.example", teams[r.IntN(len(teams))], r.IntN(20))
	}
	return list
}

// writeImages writes images as JSON lines.
func writeImages(t *testing.T, path string, from, to int) *os.File {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	w := bufio.NewWriterSize(f, 1<<20)
	for n := from; n < to; n++ {
		b, err := json.Marshal(generate(n))
		require.NoError(t, err)
		_, err = w.Write(append(b, '\n'))
		require.NoError(t, err)
	}
	require.NoError(t, w.Flush())
	return f
}
