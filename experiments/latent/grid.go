package latent

import (
	"context"
	"fmt"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/run"

	"gonum.org/v1/gonum/blas/blas32"
)

// Finish judges the laws beside the model, and leaves samples and figures. kind is what the
// pictures show.
func (s *Study) Finish(ctx context.Context, r *run.Run, kind string, tiles func(title string, pixels blas32.General) figure.Tiles, judge func(Other) error) error {
	for _, o := range append([]Other{{"reconstructions", "reconstructions", s.Reconstructions}}, s.Others...) {
		if err := judge(o); err != nil {
			return err
		}
	}
	r.Report.Notes = append(r.Report.Notes, "reconstructions are held-out pictures, encoded and decoded: the ceiling of what can be generated in this space. They are nearer to training pictures than held-out ones are, because the autoencoder smooths; generated pictures are to be compared with them. They are measured against the pictures that they are of, so that their 1-NN accuracy is near 0.")
	if err := r.SaveSamples(s.Generated); err != nil {
		return err
	}
	if err := s.grid(r, tiles, kind); err != nil {
		return err
	}
	return s.drawWalks(ctx, r, tiles)
}

// grid draws pictures of all laws side by side, and says on the page what they are.
func (s *Study) grid(r *run.Run, tiles func(title string, pixels blas32.General) figure.Tiles, kind string) error {
	noise, summary := "Gibbs noise, decoded", "one convex potential gives the noise and the map"
	if s.Core.Source == config.SourceGaussian {
		noise, summary = "noise, decoded", "a convex potential gives the map from N(0, I)"
	}
	panels := []figure.Tiles{
		tiles("data: "+s.Set.Name, s.Held),
		tiles("reconstructions", s.Reconstructions),
		tiles("generated", s.Generated),
		tiles(noise, s.Noise),
		tiles("Gaussian fit", s.Gaussian),
	}
	if err := figure.DrawTiles(r.Path("grid.png"), panels...); err != nil {
		return err
	}
	r.LeadFigure("grid.png", fmt.Sprintf("Held-out %s (%s); the same, encoded and decoded, which is the best that the latent space allows; generated %[1]s, the decoded ∇w*(y); the noise y itself, decoded; samples of a Gaussian fit in the latent space.", kind, s.Set.Name))
	var others []figure.Tiles
	for _, o := range s.Others {
		others = append(others, tiles(o.Title, o.Pictures))
	}
	if len(others) > 0 {
		if err := figure.DrawTiles(r.Path("others.png"), others...); err != nil {
			return err
		}
		r.AddFigure("others.png", "Decoded samples of other laws in the latent space.")
	}
	r.Page.Summary = fmt.Sprintf("CMFGen on %s, in the %d latents of an autoencoder: %s to %s.", s.Set.Name, s.Codes.Cols, summary, kind)
	return nil
}
