"""The methods that this installation offers, by name."""

from volumetry.core.methods import Method, PairMethod
from volumetry.engines.brain import NeuraxisBrain
from volumetry.engines.brain_change import NeuraxisChange
from volumetry.engines.cord import NeuraxisCord
from volumetry.engines.cord_change import NeuraxisCordChange
from volumetry.engines.given import GivenBrainMask, GivenCordMask

METHODS: dict[str, Method] = {
    method.name: method for method in (NeuraxisCord(), NeuraxisBrain())
}

PAIR_METHODS: dict[str, PairMethod] = {
    method.name: method for method in (NeuraxisCordChange(), NeuraxisChange())
}

# Methods that need a mask made elsewhere: asked for one scan at a time, never followed.
MASK_METHODS: dict[str, Method] = {
    method.name: method for method in (GivenCordMask(), GivenBrainMask())
}
