"""Words for the nicknames of sessions."""

ADJECTIVES = (
    "amber able brave brisk calm clear clever cosmic crisp curious eager early fair fleet gentle glad golden happy"
    " hidden honest humble jolly keen kind light lively lucky mellow mighty misty modest neat nimble noble patient"
    " playful proud quick quiet rapid shiny silent silver smooth snowy stellar sunny swift tidy tranquil vivid warm"
    " wise witty"
).split()

NOUNS = (
    "anchor badger beacon birch brook cabin canyon cedar circuit cloud comet coral cove crane delta dune eagle ember"
    " falcon fern field fjord forest fox garden glacier grove harbor hawk heron hill island lagoon lake lantern"
    " meadow moon mountain nebula oak ocean orchid otter panda pebble pine planet quartz raven reef river sail"
    " sparrow spring star stone thunder tiger valley wave willow wolf"
).split()
