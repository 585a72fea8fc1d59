"""What is compared: one Row a line of the record, in groups that one pair of programs measures together."""
from dataclasses import dataclass, field


@dataclass
class Goal:
    kind: str  # ratio (peer's time / ours), of_peak, ms, ns, share (our memory / peer's), mib, allocations
    must: float
    aim: float | None = None


@dataclass
class Row:
    id: str
    title: str
    tern: str  # name of the row in tern bench
    case: str | None  # of the peer's program; None: there is no peer
    goals: list[Goal] = field(default_factory=list)
    precision: str = "f32"
    winograd: bool = True
    modes: list[str] | None = None  # of the peer, where not those of the group


@dataclass
class Group:
    suite: str  # of tern bench
    program: str | None
    modes: list[str]
    rows: list[Row]
    models: str = ""  # tern bench --models


F32 = ["channels_last", "contiguous", "channels_last_compile"]
BF16 = ["channels_last_bf16", "channels_last_bf16_compile"]
ANY = ["channels_last", "channels_last_fast", "channels_last_bf16", "channels_last_bf16_compile"]
TRAINED = {"resnet18": ("ResNet-18", (1.5, 2), (1.5, 3)), "iresnet18": ("IResNet-18", (1.4, 2), (1.3, 2.5)),
           "mobilefacenet": ("MobileFaceNet", (1.8, 3), (2, 5)), "tiny": ("tiny", (1.4, 2), (1.3, 2.5))}


def train_groups():
    for name, (title, f32, bf16) in TRAINED.items():
        rows = [Row(f"{name}-train-{p}", f"train {title}, B=64, {p}", f"train {name} {p} B=64", name,
                    [Goal("ratio", *goal)], precision=p, modes=modes)
                for p, goal, modes in (("f32", f32, F32), ("bf16", bf16, BF16 if name == "resnet18" else ANY))]
        yield Group("train", "train.py", [], rows, name)


def infer_groups():
    goals = {("resnet18", 64): (1.3, 1.8), ("mobilefacenet", 64): (1.5, 2.5),
             ("resnet18", 1): (1, 1.4), ("mobilefacenet", 1): (2, 3.5)}
    modes = ["channels_last", "jit_contiguous", "jit_channels_last", "compile_channels_last", "freeze_channels_last",
             "onnxruntime"]
    for (name, batch), goal in goals.items():
        row = Row(f"{name}-infer-b{batch}", f"inference {TRAINED[name][0]}, B={batch}, f32",
                  f"infer {name} f32 B={batch}", f"{name}/{batch}", [Goal("ratio", *goal)])
        yield Group("infer", "infer.py", modes, [row], name)


def conv_group():
    rows = []
    for channels, size in ((64, 28), (128, 14), (256, 7), (512, 4)):
        for which in ("y", "dx", "dw"):
            name = f"conv f32 {channels}->{channels} {size}x{size} 3x3/1 {which}"
            case = f"conv/{channels}/{size}/{which}"
            for kind, goal, winograd in (("direct", Goal("of_peak", 0.85), False),
                                         ("winograd", Goal("of_peak", 1.2, 1.6), True)):
                rows.append(Row(f"conv-{channels}-{which}-{kind}", f"3x3 {channels}->{channels} {size}x{size} {which}, {kind}",
                                name, case, [goal], winograd=winograd))
    return Group("conv", "ops.py", ["channels_last", "contiguous"], rows, "resnet18")


def memory_bound_groups():
    goals = [Goal("of_peak", 0.7, 0.9)]
    layouts = ["channels_last", "contiguous"]
    yield Group("norm", "ops.py", layouts, [
        Row("bn-relu", "BN+ReLU 64x56x56x64, both ways", "bn+relu f32 56x56x64 both ways", "bn_relu", goals),
        Row("prelu", "PReLU 64x56x56x64, both ways", "prelu f32 56x56x64 both ways", "prelu", goals)])
    yield Group("pool", "ops.py", layouts, [
        Row("max-pool", "max-pool 3x3/2 64x56x56x64, both ways", "max_pool f32 56x56x64 3x3/2 both ways", "max_pool", goals)])
    yield Group("optimizer", "ops.py", layouts[:1], [
        Row("sgd", "SGD momentum, 12.7 M parameters", "sgd momentum decay, 12.7 M", "sgd", goals)])


def loss_groups():
    def row(rule, n, each, goals, title=""):
        return Row(f"{rule.replace('_', '-')}-{n}", f"{title or rule.replace('_', '-')}, B={n} K={each}",
                   f"{rule} B={n} K={each}", f"{rule}/{n}/{each}", goals)
    yield Group("loss", "losses.py", ["dense", "pml"], [
        row("batch_all", 1800, 40, [Goal("ms", 20, 10)]),
        row("batch_hard", 1800, 40, [Goal("ms", 5, 2)]),
        row("semi_hard", 1800, 40, [Goal("ms", 10, 4)], "nearest semi-hard"),
        row("batch_all", 4096, 4, [Goal("ms", 120, 50), Goal("mib", 200)])])
    yield Group("loss", "losses.py", ["pml"], [row("batch_all", 256, 4, [Goal("ratio", 20, 50)]),
                                               row("batch_all", 1024, 4, [Goal("ratio", 200, 500)])])


def small_groups():
    yield Group("gemm", "ops.py", ["contiguous"], [
        Row("gemm-1024", "GEMM 1024^3, f32, against MKL", "gemm f32 1024x1024x1024", "gemm/1024",
            [Goal("ratio", 1.1), Goal("of_peak", 0.8, 0.92)])])
    yield Group("overhead", "overhead", ["c++"], [
        Row("op-plain", "eager op, 64 elements", "64 elements, no gradient", "none", [Goal("ns", 150, 60), Goal("ratio", 2)]),
        Row("op-recorded", "eager op, 64 elements, recorded", "64 elements, recorded", "recorded",
            [Goal("ns", 250, 100), Goal("ratio", 2)])])
    memory = ["channels_last", "channels_last plain"]
    yield Group("train", "train.py", [], [
        Row("resnet18-memory", "peak memory of the ResNet-18 step, B=64", "train resnet18 f32 B=64", "resnet18",
            [Goal("share", 0.75, 0.6)], modes=memory),
        Row("resnet18-allocations", "system allocations in a steady ResNet-18 step", "train resnet18 f32 B=64", None,
            [Goal("allocations", 0)])], "resnet18")
    yield Group("triplet", None, [], [
        Row("triplet", "three-photo decision, face_net, one core", "triplet face_net, one thread", None,
            [Goal("ms", 15, 5)])], "face_net")


GROUPS = [*train_groups(), *infer_groups(), conv_group(), *memory_bound_groups(), *loss_groups(), *small_groups()]
