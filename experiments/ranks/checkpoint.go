package ranks

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"cmf/data"
	"cmf/graph"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// Names of what each rank has of its own in a checkpoint. The arrays of all ranks are stacked;
// the texts of rank k > 0 are called rank.k.NAME.
var (
	arraysOfRank = []string{"bank.y", "bank.partners", "bank.gradients", "bank.points", "bank.contexts", "walkers.x"}
	textsOfRank  = []string{"stream", "epochs", "chains.gamma", "chains.bound", "chains.steps", "bank.next", "walkers.steps", "walkers.gamma", "energy.evaluations", "autoencoder.epochs", "autoencoder.noise"}
)

func textOfRank(rank int, name string) string { return fmt.Sprintf("rank.%d.%s", rank, name) }

// Collect adds to the checkpoint of rank 0 what the others have of their own.
func (g *Group) Collect(c *graph.Checkpoint) error {
	if g == nil {
		return nil
	}
	for _, name := range arraysOfRank {
		if t, ok := c.Tensors[name]; ok {
			all := g.stacked(t.General())
			c.Put(name, all.Data, all.Rows, all.Cols)
		}
	}
	own := map[string]string{}
	for _, name := range textsOfRank {
		if text, ok := c.Texts[name]; ok {
			own[name] = text
		}
	}
	text, err := json.Marshal(own)
	if err != nil {
		return err
	}
	for rank, part := range g.world.Gather(text) {
		if rank == 0 {
			continue
		}
		texts := map[string]string{}
		if err := json.Unmarshal(part, &texts); err != nil {
			return fmt.Errorf("what rank %d has of its own: %w", rank, err)
		}
		for name, text := range texts {
			c.Texts[textOfRank(rank, name)] = text
		}
	}
	c.Texts["ranks"] = strconv.Itoa(g.world.Size())
	return nil
}

// mostRanks is more than a checkpoint is of.
const mostRanks = 1 << 20

// Own is what a rank has before it goes on from a checkpoint.
type Own struct {
	Seed      uint64
	State     *solvers.CMFGenState
	Walkers   int          // on this rank
	Epochs    *data.Epochs // nil for an energy
	Particles bool         // false if the bank has points of a given source
}

// Streams are what a rank has that learns an autoencoder: minibatches and noise.
type Streams struct {
	Seed   uint64
	Epochs *data.Epochs
}

// Deal leaves in a checkpoint what is for this rank. If it is of another number of ranks, it
// deals the particles of all anew, with new random numbers, and says so.
func (g *Group) Deal(c *graph.Checkpoint, path string, own interface {
	deal(c *graph.Checkpoint, rank int)
}) (remark string, err error) {
	there := 1
	if text, ok := c.Texts["ranks"]; ok {
		if there, err = strconv.Atoi(text); err != nil || there < 1 || there > mostRanks {
			return "", fmt.Errorf("its %q is %q; it must be a whole number from 1 to %d", "ranks", text, mostRanks)
		}
	}
	if there == g.size() {
		return "", ownPart(c, int(g.Rank()), there)
	}
	own.deal(c, int(g.Rank()))
	return fmt.Sprintf("%s was written by a run on %d ranks, and this one is on %d: what ranks have of their own is dealt anew, with new random numbers, so that it does not go on to the bits of either.", path, there, g.size()), nil
}

// ownPart leaves the part of a rank in a checkpoint of n.
func ownPart(c *graph.Checkpoint, rank, n int) error {
	if n == 1 {
		return nil
	}
	for _, name := range arraysOfRank {
		all := c.Tensors[name].General()
		if all.Rows == 0 {
			continue
		}
		from := 0
		for k := range rank {
			from += ofShare(all.Rows, k, n)
		}
		part := batch.Rows(all, from, from+ofShare(all.Rows, rank, n))
		c.Put(name, part.Data[:part.Rows*part.Cols], part.Rows, part.Cols)
	}
	if rank == 0 {
		return nil
	}
	for _, name := range textsOfRank {
		text, ok := c.Texts[textOfRank(rank, name)]
		if _, of0 := c.Texts[name]; of0 != ok {
			return fmt.Errorf("it has no %q", textOfRank(rank, name))
		}
		if ok {
			c.Texts[name] = text
		}
	}
	return nil
}

// deal leaves a share of all particles in a checkpoint of another number of ranks, as many
// as this run has on a rank. Points of a given source stay with their rank.
func (o Own) deal(c *graph.Checkpoint, rank int) {
	s, step := o.State, c.Texts["step"]
	for _, name := range arraysOfRank {
		all, rows := c.Tensors[name].General(), s.Bank.Y.Rows
		if name == "walkers.x" {
			rows = o.Walkers
		}
		if all.Rows == 0 {
			continue
		}
		index := make([]int, rows)
		for i := range index {
			index[i] = (rank*rows + i) % all.Rows
		}
		part := batch.Gathered(all, index)
		c.Put(name, part.Data, part.Rows, part.Cols)
	}
	if !o.Particles {
		c.Put("bank.y", s.Bank.Y.Data, s.Bank.Y.Rows, s.Bank.Y.Cols)
		c.Put("bank.partners", s.Partners.Data, s.Partners.Rows, s.Partners.Cols)
	}
	c.Texts["bank.next"] = "0"
	c.Texts["stream"] = hex.EncodeToString(anew(o.Seed, "Langevin", step, rank))
	if o.Epochs != nil {
		c.Texts["epochs"] = hex.EncodeToString(o.Epochs.StateFrom(anew(o.Seed, "minibatches", step, rank)))
	}
}

// deal gives a rank new streams.
func (s Streams) deal(c *graph.Checkpoint, rank int) {
	step := c.Texts["autoencoder.step"]
	c.Texts["autoencoder.noise"] = hex.EncodeToString(anew(s.Seed, "autoencoder: noise", step, rank))
	c.Texts["autoencoder.epochs"] = hex.EncodeToString(s.Epochs.StateFrom(anew(s.Seed, "autoencoder: minibatches", step, rank)))
}

// anew is the state of a new stream of a rank.
func anew(seed uint64, purpose, step string, rank int) []byte {
	state, _ := random.New(seed, purpose+", dealt anew after step "+step, uint64(rank)).MarshalBinary() // only a zero Stream has an error
	return state
}
