package packages_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// cache is what Composer keeps: an answer for each address, whoever asked for it.
type cache map[string]answer

// get asks like Composer: with the time of what is kept, which stays for 304 and is replaced otherwise.
func (k cache) get(c consumer, path string) answer {
	kept, ok := k[path]
	since := ""
	if ok {
		since = kept.header.Get("Last-Modified")
	}
	a := c.get(path, since)
	if a.status == http.StatusNotModified {
		return kept
	}
	delete(k, path)
	if a.status == http.StatusOK {
		k[path] = a
	}
	return a
}

// Whatever changes at the same time, and whoever shares a cache: once the changes are over, a client that asks with what it
// has kept sees the same as one that has kept nothing.
func TestClientsKeepNothingThatIsOutOfDate(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		const packages, consumers = 2, 3
		var ids, versions []int64
		var all []consumer
		paths := []string{"/packages.json"}
		for i := range packages {
			name := fmt.Sprintf("acme/p%d", i)
			ids = append(ids, s.newPackage(name))
			paths = append(paths, "/p2/"+name+".json")
			for j := range 3 {
				versions = append(versions, s.newVersion(ids[i], name, fmt.Sprintf("%d.0", j)))
			}
		}
		for i := range consumers {
			all = append(all, s.newConsumer(fmt.Sprintf("%d@example.com", i)))
		}
		shared := cache{}
		for round := range 4 {
			var changing sync.WaitGroup
			for w := range 3 {
				random := rand.New(rand.NewPCG(uint64(round), uint64(w)))
				changing.Go(func() {
					for range 6 {
						switch c := all[random.IntN(consumers)]; random.IntN(4) {
						case 0:
							s.permit(c, ids[random.IntN(packages)], fmt.Sprintf("%d.*", random.IntN(3)))
						case 1:
							for _, p := range s.must(200, "GET", fmt.Sprintf("/consumers/%d/packages/%d", c.id, ids[random.IntN(packages)]), nil).list(t) {
								// Another one may have taken it away first.
								s.as(s.owner, "DELETE", fmt.Sprintf("/permissions/%v", p["id"]), nil)
								break
							}
						case 2:
							s.must(200, "PATCH", fmt.Sprintf("/versions/%d", versions[random.IntN(len(versions))]), object{"status": random.IntN(2)})
						case 3:
							s.must(201, "PATCH", fmt.Sprintf("/packages/%d", ids[random.IntN(packages)]), object{"status": random.IntN(2)})
						}
					}
				})
			}
			// Meanwhile clients ask, one after another with one cache.
			over := make(chan struct{})
			go func() { changing.Wait(); close(over) }()
			for asking := true; asking; {
				select {
				case <-over:
					asking = false
				default:
				}
				for _, c := range all {
					for _, path := range paths {
						shared.get(c, path)
					}
				}
			}
			for _, c := range all {
				for _, path := range paths {
					with, without := shared.get(c, path), c.get(path, "")
					require.Equal(t, without.status, with.status, path)
					require.Equal(t, string(without.body), string(with.body), path)
				}
			}
		}
	})
}

// What another process changes shows here within a moment: a consumer that was removed there is refused here.
func TestS6ChangesOfAnotherProcess(t *testing.T) {
	s := newServer(t, postgres(t))
	p := s.newPackage("acme/hello")
	v := s.newVersion(p, "acme/hello", "1.0")
	c := s.newConsumer("a@example.com")
	s.permit(c, p, "*")
	require.Equal(t, []string{"1.0"}, c.versions("acme/hello"))
	db, err := pgx.Connect(t.Context(), s.store.URL())
	require.NoError(t, err)
	defer db.Close(context.Background())
	elsewhere := func(statement string, args ...any) {
		tx, err := db.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), statement, args...)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "UPDATE package_clock SET last = last + 1")
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))
	}
	// A download asks the database, so it is refused at once.
	elsewhere("DELETE FROM package_permissions")
	require.Equal(t, 403, c.get(fmt.Sprintf("/dist/acme/hello/%d.zip", v), "").status)
	elsewhere("DELETE FROM consumers")
	require.Eventually(t, func() bool { return c.get("/packages.json", "").status == 401 }, time.Second, waitPause)
}
