package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/salveops/salve/packaging/lab/rig"
	"github.com/salveops/salve/pkg/recording"
)

const (
	scrapes      = 10 // pages that are read at rest
	scrapeSeries = 1000
	scrapeEvery  = time.Second // half of the default

	bigSeries = 5000
	bigEvery  = 100 * time.Millisecond
)

// goldenScrape makes the golden signals of a page: 17 of 20 of its lines count.
func goldenScrape(url string, every time.Duration) string {
	return fmt.Sprintf(`  scrape "app" {
    url     = %q
    every   = %q
    timeout = %[2]q
    metric "error_rate" {
      ratio = ["http_requests_total{code=~'5..'}", "http_requests_total"]
    }
    metric "traffic" { rate = "http_requests_total" }
    metric "p99_latency" {
      quantile = 0.99
      of       = "http_request_duration_seconds"
    }
  }
`, url, every.String())
}

// atRest holds an agent that reads pages, too, against one that does not, and against Monit.
func (s *Sources) atRest(ctx context.Context) error {
	w, err := newWard(ctx, s.manager, s.opts.Service, s.opts.Services)
	if err != nil {
		return err
	}
	defer w.close()
	pages := make([]*page, scrapes)
	for i := range pages {
		pages[i] = newPage(scrapeSeries)
	}
	shelf, err := newShelf(pages...)
	if err != nil {
		return err
	}
	defer shelf.close()
	agent := salve{title: nameSalve, binary: s.opts.Agent, ward: w}
	scraping := agent
	scraping.title, scraping.pages = nameScraping, shelf.urls()
	recording := scraping
	recording.title, recording.records = nameRecording, true
	for _, t := range []tool{&agent, &scraping, &recording, &monit{binary: s.opts.Monit, ward: w}} {
		before := shelf.shown()
		u, err := atRest(ctx, w, t, s.opts.Rest)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", t.name(), err, t.log())
		}
		s.logf("%s: %.2f CPU s/min, %.1f MiB, %d pages", t.name(), u.CPU, mib(u.Memory.RSS), shelf.shown()-before)
		s.result.Rest = append(s.result.Rest, Rest{t.name(), u})
	}
	s.result.Recorded, err = recorded(filepath.Join(recording.dir, "data", "recording"))
	return err
}

// Recorded is what a recorder left.
type Recorded struct{ Bytes, Samples int }

// recorded counts a folder of recordings.
func recorded(dir string) (sum Recorded, err error) {
	names, err := recording.Files(os.DirFS(dir))
	for _, name := range names {
		data, failed := fs.ReadFile(os.DirFS(dir), name)
		if failed != nil {
			return sum, failed
		}
		sum.Bytes += len(data)
		recording.Read(data, func(s recording.Span) bool {
			for _, l := range s.Lanes {
				for i := range s.At {
					if _, told := l.Value(i); told {
						sum.Samples++
					}
				}
			}
			return true
		})
	}
	return sum, err
}

// lonely are the units of services that are only looked at from outside; nobody starts them.
var lonely = []string{"bench-*.service"}

func service(name, body string) string {
	return fmt.Sprintf("service %[1]q {\n  unit = \"bench-%[1]s.service\"\n%[2]s}\n", name, body)
}

// bigPage holds the reading of a big page against Prometheus.
func (s *Sources) bigPage(ctx context.Context) error {
	shelf, err := newShelf(newPage(bigSeries))
	if err != nil {
		return err
	}
	defer shelf.close()
	ports, err := rig.FreePorts(1)
	if err != nil {
		return err
	}
	prometheus := configured(namePrometheus, "prometheus.yml", func(string) string {
		return fmt.Sprintf("scrape_configs:\n- job_name: app\n  scrape_interval: %[1]v\n  scrape_timeout: %[1]v\n"+
			"  metrics_path: %[2]s\n  static_configs: [{targets: [%[3]q]}]\n", bigEvery, shelf.path(0), shelf.address)
	}, func(dir, file string) []string {
		return []string{s.opts.Prometheus, "--config.file=" + file, "--storage.tsdb.path=" + dir + "/data",
			"--web.listen-address=" + ports[0], "--log.level=error"}
	})
	own := s.agent(world{units: lonely, rules: service("app", goldenScrape(shelf.url(0), bigEvery))})
	s.result.Pages, err = s.contest(ctx, shelf.shown, own, prometheus)
	return err
}
