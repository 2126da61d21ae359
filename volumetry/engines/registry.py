"""The methods that this installation offers, by name."""

from volumetry.core.methods import Method, PairMethod
from volumetry.engines.brain import NeuraxisBrain
from volumetry.engines.brain_change import NeuraxisChange
from volumetry.engines.cord import NeuraxisCord
from volumetry.engines.cord_change import NeuraxisCordChange

METHODS: dict[str, Method] = {
    method.name: method for method in (NeuraxisCord(), NeuraxisBrain())
}

PAIR_METHODS: dict[str, PairMethod] = {
    method.name: method for method in (NeuraxisCordChange(), NeuraxisChange())
}
