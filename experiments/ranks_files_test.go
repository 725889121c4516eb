package experiments

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// rankFiles are examples of how ranks and sweeps are started.
var rankFiles = filepath.Join("ranks", "examples")

// The shell reads the examples, and the variables and commands that they name exist.
func TestRankFilesNameWhatExists(t *testing.T) {
	var help strings.Builder
	usageOf(t, &help, Toy2D)()
	ToyAblation.Execute(t.Context(), nil, []string{"-h"}, &help)
	variable := regexp.MustCompile(`\bCMF_[A-Z0-9_]+`)
	known := variable.FindAllString(help.String(), -1)
	count := 0
	err := fs.WalkDir(os.DirFS(rankFiles), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		count++
		text := readText(t, filepath.Join("experiments", rankFiles, name))
		for _, v := range variable.FindAllString(text, -1) {
			if !slices.Contains(known, v) && v != "CMF_" {
				t.Errorf("%s names %s, which no command reads", name, v)
			}
		}
		for _, m := range regexp.MustCompile(`\./experiments/(\w+)|[ (]bin/(\w+)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(m[1]+m[2], "main.go")); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, m := range regexp.MustCompile(`experiments/ranks/examples/([\w.]+)`).FindAllStringSubmatch(text, -1) {
			if m[1] != name {
				t.Errorf("%s calls itself %s", name, m[1])
			}
		}
		if shell, err := exec.LookPath("bash"); err == nil && strings.HasPrefix(text, "#!") {
			if said, err := exec.Command(shell, "-n", filepath.Join(rankFiles, name)).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, said)
			}
		}
		return nil
	})
	if err != nil || count != 5 {
		t.Errorf("%d files, %v", count, err)
	}
}

// kubernetes has what the examples use of batch/v1 Job and kubeflow.org/v2beta1 MPIJob.
type kubernetes struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		CompletionMode           string `yaml:"completionMode"`
		Completions, Parallelism int
		BackoffLimitPerIndex     int `yaml:"backoffLimitPerIndex"`
		Template                 podTemplate

		SlotsPerWorker         int    `yaml:"slotsPerWorker"`
		MPIImplementation      string `yaml:"mpiImplementation"`
		LauncherCreationPolicy string `yaml:"launcherCreationPolicy"`
		RunPolicy              struct {
			CleanPodPolicy string `yaml:"cleanPodPolicy"`
			BackoffLimit   int    `yaml:"backoffLimit"`
		} `yaml:"runPolicy"`
		Replicas map[string]struct {
			Replicas      int
			RestartPolicy string `yaml:"restartPolicy"`
			Template      podTemplate
		} `yaml:"mpiReplicaSpecs"`
	}
}

type podTemplate struct {
	Spec struct {
		RestartPolicy                 string `yaml:"restartPolicy"`
		TerminationGracePeriodSeconds int    `yaml:"terminationGracePeriodSeconds"`
		Containers                    []struct {
			Name, Image   string
			Command, Args []string
			Env           []struct{ Name, Value string }
			Resources     struct{ Requests, Limits map[string]string }
			VolumeMounts  []struct {
				Name      string
				MountPath string `yaml:"mountPath"`
			} `yaml:"volumeMounts"`
		}
		Volumes []struct {
			Name  string
			Claim struct {
				Name string `yaml:"claimName"`
			} `yaml:"persistentVolumeClaim"`
		}
	}
}

// check tells of a pod that lacks what it must have, or that writes results to no volume.
func (p podTemplate) check() error {
	if len(p.Spec.Containers) != 1 || len(p.Spec.Volumes) != 1 {
		return fmt.Errorf("%d containers and %d volumes", len(p.Spec.Containers), len(p.Spec.Volumes))
	}
	c, volume := p.Spec.Containers[0], p.Spec.Volumes[0]
	if c.Name == "" || c.Image == "" || len(c.VolumeMounts) != 1 || c.VolumeMounts[0].Name != volume.Name || volume.Claim.Name == "" {
		return fmt.Errorf("the container %+v, the volume %+v", c, volume)
	}
	if out := p.env("CMF_OUT"); out != "" && !strings.HasPrefix(out, c.VolumeMounts[0].MountPath+"/") {
		return fmt.Errorf("results go to %s, and the volume is at %s", out, c.VolumeMounts[0].MountPath)
	}
	return nil
}

func (p podTemplate) env(name string) string {
	for _, e := range p.Spec.Containers[0].Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// Numbers that stand twice in the files of Kubernetes agree, and what is required is there.
func TestKubernetesFiles(t *testing.T) {
	read := func(name string) (k kubernetes) {
		t.Helper()
		d := yaml.NewDecoder(strings.NewReader(readText(t, filepath.Join("experiments", rankFiles, name))))
		d.KnownFields(true)
		if err := d.Decode(&k); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return k
	}
	job := read("indexedjob.yaml")
	s := job.Spec
	if job.APIVersion != "batch/v1" || job.Kind != "Job" || job.Metadata.Name == "" || s.CompletionMode != "Indexed" || s.Template.Spec.RestartPolicy != "Never" {
		t.Errorf("the Indexed Job is %+v", job)
	}
	if err := s.Template.check(); err != nil {
		t.Error(err)
	}
	if got := s.Template.env("JOB_COMPLETIONS"); s.Completions < 2 || got != fmt.Sprint(s.Completions) || s.Template.env("CMF_OUT") == "" {
		t.Errorf("pods believe to be %s of %d, with results in %q", got, s.Completions, s.Template.env("CMF_OUT"))
	}
	if cpu := s.Template.Spec.Containers[0].Resources.Limits["cpu"]; s.Template.env("CMF_PARALLEL") != cpu {
		t.Errorf("%s cells at once on %s cores", s.Template.env("CMF_PARALLEL"), cpu)
	}

	ranks := read("mpijob.yaml")
	launcher, worker := ranks.Spec.Replicas["Launcher"], ranks.Spec.Replicas["Worker"]
	if ranks.APIVersion != "kubeflow.org/v2beta1" || ranks.Kind != "MPIJob" || ranks.Metadata.Name == "" || len(ranks.Spec.Replicas) != 2 || launcher.Replicas != 1 {
		t.Errorf("the MPIJob is %+v", ranks)
	}
	for _, p := range []podTemplate{launcher.Template, worker.Template} {
		if err := p.check(); err != nil {
			t.Error(err)
		}
	}
	script := strings.Join(launcher.Template.Spec.Containers[0].Args, "\n")
	if n := ranks.Spec.SlotsPerWorker * worker.Replicas; !strings.Contains(script, fmt.Sprintf(" -n %d ", n)) {
		t.Errorf("for %d ranks the launcher runs %s", n, script)
	}
	for _, e := range launcher.Template.Spec.Containers[0].Env {
		if !strings.Contains(script, " -x "+e.Name) {
			t.Errorf("workers do not hear of %s", e.Name)
		}
	}
}
