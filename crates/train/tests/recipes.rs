//! What bad recipes and bad `--set`s are told, and what good ones become.

use data::{Size, Sizes};
use models::Initialization;
use train::configs::{self, ConfigFile};
use train::error::Error;
use train::lab::targets;
use train::plan::{Circumstances, DatasetFacts, Plan};
use train::recipe::{Dataset, Recipe, RecipeFile};
use train::schedule::Plateaus;

const GOOD: &str = r#"model   = "resnet20"
dataset = "cifar10"
batch   = 128
length  = { steps = 64_000 }

[optimizer.sgd]
momentum     = 0.9
weight_decay = 1e-4

[schedule.step]
start     = 0.1
divide_by = 10
at        = [{ steps = 32_000 }, { steps = 48_000 }]

[[augment.train]]
random_crop = { size = 32, padding = 4 }
[[augment.train]]
flip = { probability = 0.5 }
[[augment.train]]
normalize = "per-channel"
[[augment.test]]
normalize = "per-channel"
"#;

fn file(text: &str) -> ConfigFile {
    ConfigFile {
        name: "my".into(),
        shown: "my.toml".into(),
        text: text.into(),
    }
}

fn read(text: &str, set: &[&str]) -> Result<RecipeFile, Error> {
    let set: Vec<_> = set.iter().map(|argument| argument.to_string()).collect();
    RecipeFile::read(&file(text), &set)
}

fn recipe(set: &[&str]) -> Recipe {
    read(GOOD, set)
        .unwrap_or_else(|error| panic!("{}", error.report()))
        .recipe
}

fn cifar10() -> DatasetFacts {
    DatasetFacts {
        name: "cifar10".into(),
        train_images: 50_000,
        test_images: Some(10_000),
        classes: 10,
        size: Size::new(3, 32, 32).into(),
        fingerprint: "00".repeat(32),
        jpeg_decoder: None,
        statistics: None,
    }
}

fn cpu() -> Circumstances {
    Circumstances {
        device: "cpu".into(),
        workers: 2,
        threads: 2,
        processes: 1,
        started_in: Some("/home/me".into()),
        initialization: Initialization::He,
        init_sha256: String::new(),
    }
}

fn plan(set: &[&str]) -> Result<Plan, Error> {
    Plan::new(&read(GOOD, set)?, &cifar10(), &cpu())
}

/// The message, and that the exit code is 2, since a recipe is what a user typed.
fn complaint<T>(result: Result<T, Error>, given: &str) -> String {
    match result {
        Ok(_) => panic!("accepted: {given}"),
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{given}");
            error
                .report()
                .to_string()
                .replace("error: cannot use recipe `my.toml`\n", "")
        }
    }
}

/// The good recipe with one line replaced.
fn with_line(start: &str, replacement: &str) -> String {
    let replaced = |line: &str| {
        if line.starts_with(start) {
            replacement.to_owned()
        } else {
            line.to_owned()
        }
    };
    let text: Vec<_> = GOOD.lines().map(replaced).collect();
    assert_ne!(
        text.join("\n"),
        GOOD.trim_end(),
        "no line starts with `{start}`"
    );
    text.join("\n")
}

#[test]
fn bad_recipes_are_told_where_and_what_to_type() {
    let cases = [
        ("batch", "batch_size = 128"),
        ("batch", "batch = 0"),
        ("batch", "batch = \"big\""),
        ("batch", "batch = 12.5"),
        ("batch", "batch = 99999999999999999999"),
        ("batch", "batch = 128\naccumulate = 3"),
        ("batch", "batch = 128\nclip_norm = 0"),
        ("batch", "batch = 128\nseed = -1"),
        ("batch", "batch = 128\nshuffle = 1"),
        ("batch", "batch = 128\ninit = 3"),
        ("batch", "batch = 128\ninitialization = \"hee\""),
        ("batch", "batch = 128\ninitialization = \"gaussian\""),
        (
            "batch",
            "batch = 128\ninitialization = { gaussian = -0.01 }",
        ),
        ("batch", "batch = 128\nvalidation = 5_000"),
        ("batch", "batch = 128\nbatch = 64"),
        ("model", ""),
        ("model", "model = \"resnet21\""),
        ("length", "length = { epochs = 30 }\nema = 0.999"),
        ("model", "model = { name = \"resnet20\", shortcut = \"D\" }"),
        ("model", "model = { name = \"resnet20\", stride = \"1x1\" }"),
        (
            "model",
            "model = { name = \"resnet20\", activation = \"gelu\" }",
        ),
        (
            "model",
            "model = { name = \"resnet20\", stochastic_depth = 1 }",
        ),
        (
            "model",
            "model = { name = \"resnet20\", manipulation = \"gating\" }",
        ),
        (
            "model",
            "model = { name = \"resnet20\", manipulation = { scaling = { shortcut = 0.5 } } }",
        ),
        (
            "model",
            "model = { name = \"resnet20\", manipulation = { exclusive_gating = -6 } }",
        ),
        ("model", "model = [\"resnet20\"]"),
        ("model", "model = resnet20"),
        ("dataset", "dataset = \"cifar-10\""),
        ("dataset", "dataset = { idx = \"a\", folder = \"b\" }"),
        ("dataset", "dataset = { name = \"cifar10\", test = \"b\" }"),
        ("dataset", "dataset = {}"),
        ("length", ""),
        ("length", "epochs = 30"),
        ("length", "length = 30"),
        ("length", "length = \"30 epochs\""),
        ("length", "length = { epochs = 30, steps = 64_000 }"),
        ("length", "length = { epochs = 0 }"),
        ("length", "length = { epochs = 2.5 }"),
        ("length", "length = { epoch = 30 }"),
        ("length", "length = {}"),
        ("length", "length = 2026-01-01"),
        ("weight_decay", "weight_decy = 1e-4"),
        ("weight_decay", "lr = 0.1"),
        ("weight_decay", "wd = 1e-4"),
        ("weight_decay", "weight_decay = nan"),
        ("weight_decay", "nesterov = true\ndampening = 0.1"),
        ("weight_decay", "decay_exclude = [\"bias\", \"norms\"]"),
        (
            "weight_decay",
            "norm = { rate_factor = 0, weight_decay = 0 }",
        ),
        ("weight_decay", "norm = { rate_factor = 64 }"),
        (
            "weight_decay",
            "norm = { rate_factor = 2, weight_decay = 0 }\ndecay_exclude = [\"norm\"]",
        ),
        ("momentum", "momentum = -0.9"),
        ("momentum", "momentum = 1.0"),
        ("[optimizer.sgd]", "[optimizer.adam]"),
        ("[schedule.step]", "[schedule.stepp]"),
        ("start", "start = inf"),
        ("start", "start = 0"),
        ("start", "gamma = 0.1"),
        ("divide_by", "divide_by = 0.1"),
        ("divide_by", "divide_by = 10\nevery = { epochs = 30 }"),
        (
            "divide_by",
            "divide_by = 10\nwarm_up = { shape = \"linear\", from = 0.01 }",
        ),
        ("at ", ""),
        ("at ", "at = []"),
        ("at ", "at = [32_000, 48_000]"),
        ("at ", "at = [{ steps = 48_000 }, { steps = 32_000 }]"),
        ("flip", "flip = { probability = 1.5 }"),
        ("flip", "flip = 0.5"),
        ("flip", "flip = { probability = 0.5, alternating = 1 }"),
        (
            "flip",
            "flip = { probability = 0.5 }\npca_color = { std = 0.1 }",
        ),
        ("flip", "mirror = { probability = 0.5 }"),
        ("flip", ""),
        ("random_crop", "random_crop = { size = 0, padding = 4 }"),
        ("random_crop", "random_crop = { size = 32, padding = -4 }"),
        (
            "random_crop",
            "random_crop = { size = 32, padding = 4, padding_mode = \"mirror\" }",
        ),
        ("random_crop", "normalize = \"per-pixel\""),
        (
            "random_crop",
            "normalize = { mean = [0.5], std = [0.2, 0.2] }",
        ),
        ("random_crop", "normalize = { mean = [0.5], std = [0] }"),
        ("random_crop", "normalize = { mean = [0.5], dev = [0.2] }"),
        (
            "[[augment.test]]",
            "[[augment.test]]\nflip = { probability = 0.5 }\n[[augment.test]]",
        ),
        (
            "[[augment.test]]",
            "[loss]\nlabel_smoothing = 1\n[[augment.test]]",
        ),
        ("[[augment.test]]", "[ema]\n[[augment.test]]"),
        (
            "[[augment.test]]",
            "[lookahead]\nevery = 5\ndecay = 0.95\npower = 3\n[[augment.test]]",
        ),
        (
            "[[augment.test]]",
            "[lookahead]\nevery = { steps = 5 }\ndecay = 1\npower = 3\n[[augment.test]]",
        ),
        (
            "[[augment.test]]",
            "[lookahead]\nevery = { steps = 5 }\ndecay = 0.95\npower = -1\n[[augment.test]]",
        ),
        (
            "[[augment.test]]",
            "[lookahead]\nevery = { steps = 5 }\ndecay = 0.95\npower = 0\n[ema]\ndecay = 0.9\n[[augment.test]]",
        ),
        (
            "[[augment.test]]",
            "[whiten]\nimages = 0\nepsilon = 1e-3\n[[augment.test]]",
        ),
        (
            "[[augment.test]]",
            "[whiten]\nimages = 10\nepsilon = 0\n[[augment.test]]",
        ),
        (
            "[[augment.test]]",
            "[log]\nevery = { steps = 50 }\n[[augment.test]]",
        ),
        ("[[augment.test]]", "[eval]\nbatch = 0\n[[augment.test]]"),
        (
            "[[augment.test]]",
            "[checkpoint]\nevery = { epochs = 1 }\nkeep = 0\n[[augment.test]]",
        ),
        ("[[augment.test]]", "[[augment.tests]]"),
    ];
    let told = cases.map(|(line, replacement)| {
        let given = if replacement.is_empty() {
            format!("(without `{}`)", line.trim())
        } else {
            replacement.to_owned()
        };
        format!(
            "{given}\n{}",
            complaint(read(&with_line(line, replacement), &[]), &given)
        )
    });
    insta::assert_snapshot!(told.join("\n\n----\n\n"));
}

/// Whatever is left of a recipe by an accident, it is read or refused.
#[test]
fn no_damage_panics() {
    for end in 0..GOOD.len() {
        let (head, tail) = GOOD.split_at(end);
        let lacking_one = format!("{head}{}", &tail[1..]);
        for damaged in [head, tail, &lacking_one] {
            if let Err(error) = read(damaged, &[]) {
                assert_eq!(error.exit_code(), 2, "{damaged}");
            }
        }
    }
}

#[test]
fn a_whole_message_looks_like_this() {
    let error = read(&with_line("weight_decay", "weight_decy = 1e-4"), &[]).unwrap_err();
    insta::assert_snapshot!(error.report(), @r"
    error: cannot use recipe `my.toml`
      caused by: unknown key `weight_decy` in `[optimizer.sgd]`, line 8

    hint: did you mean `weight_decay`?
    ");
}

#[test]
fn bad_overrides_are_told_what_to_type() {
    let cases: [&[&str]; 15] = [
        &["batch"],
        &["=3"],
        &["optimizer..momentum=0.9"],
        &["batch="],
        &["bach=64"],
        &["optimizer.sgd.momentun=0.9"],
        &["optimizer.sdg.momentum=0.9"],
        &["optimizer.sgd.momentum=-1"],
        &["batch.size=3"],
        &["length={ epochs = 3"],
        &["length.epoch=3"],
        &["schedule.cosine.start=0.1"],
        &["augment.train.7.flip.probability=0"],
        &["augment.train.first.flip.probability=0"],
        &["model=resnet21"],
    ];
    let told = cases.map(|set| {
        let given = format!("--set {}", set.join(" --set "));
        format!("{given}\n{}", complaint(read(GOOD, set), &given))
    });
    insta::assert_snapshot!(told.join("\n\n----\n\n"));
}

#[test]
fn recipes_that_do_not_fit_their_dataset_are_refused() {
    let cases: [&[&str]; 9] = [
        &["batch=60000"],
        &["whiten={ images = 60_000, epsilon = 1e-3 }"],
        &["augment.train.0.random_crop={ size = 32, padding = 32, padding_mode = 'reflect' }"],
        &["validation.images=50000"],
        &["validation.images=49900"],
        &["augment.train.0.random_crop.size=64"],
        &["augment.train.2={ normalize = { mean = [0.5], std = [0.2] } }"],
        &["schedule.step.at=[{ epochs = 100 }, { steps = 39100 }]"],
        &[
            "augment.train.0.random_crop.size=24",
            "augment.train.2.normalize=per-pixel-mean",
        ],
    ];
    let told = cases.map(|set| {
        let given = format!("--set {}", set.join(" --set "));
        format!("{given}\n{}", complaint(plan(set), &given))
    });
    let mut grey = cifar10();
    grey.size = Size::new(1, 32, 32).into();
    let pca = read(&with_line("flip", "pca_color = { std = 0.1 }"), &[]).unwrap();
    let pca = complaint(Plan::new(&pca, &grey, &cpu()), "colour of grey images");
    insta::assert_snapshot!([told.join("\n\n----\n\n"), pca].join("\n\n----\n\n"));
}

#[test]
fn overrides_reach_every_kind_of_key() {
    let set = recipe(&[
        "batch=64",
        "length.epochs=3",
        "optimizer.sgd.nesterov=true",
        "augment.train.1.flip.probability=0",
        "initialization.gaussian=0.02",
        "model.shortcut=B",
        "loss.label_smoothing=0.1",
        "schedule.step.at=[{ epochs = 2 }]",
        "init=weights/old run.safetensors",
    ]);
    let written = with_line(
        "batch",
        "batch = 64\ninit = \"weights/old run.safetensors\"",
    )
    .replace(
        "{ steps = 64_000 }",
        "{ epochs = 3 }\ninitialization = { gaussian = 0.02 }",
    )
    .replace(
        "weight_decay = 1e-4",
        "weight_decay = 1e-4\nnesterov = true",
    )
    .replace("probability = 0.5", "probability = 0")
    .replace(
        "model   = \"resnet20\"",
        "model = { name = \"resnet20\", shortcut = \"B\" }",
    )
    .replace(
        "[{ steps = 32_000 }, { steps = 48_000 }]",
        "[{ epochs = 2 }]\n[loss]\nlabel_smoothing = 0.1",
    );
    assert_eq!(set, read(&written, &[]).unwrap().recipe);
}

#[test]
fn the_last_override_of_a_key_wins() {
    assert_eq!(recipe(&["seed=1", "seed=2"]).seed, 2);
}

#[test]
fn the_users_own_data_needs_no_known_name() {
    let tensors = recipe(&["dataset={ tensors = 'a.safetensors', test = 'b.safetensors' }"]);
    let expected = Dataset::Tensors {
        train: "a.safetensors".into(),
        test: Some("b.safetensors".into()),
    };
    assert_eq!(tensors.dataset, expected);
    assert_eq!(
        recipe(&["dataset={ folder = 'photos' }"]).dataset,
        Dataset::Folder("photos".into())
    );
}

#[test]
fn a_plan_survives_its_file() {
    let plan = plan(&[
        "model={ name = 'resnet50', shortcut = 'C', bottleneck_stride = '3x3', activation = 'prelu', stochastic_depth = 0.5 }",
        "initialization.gaussian=0.02",
        "dataset={ tensors = 'a', test = 'b' }",
        "lookahead={ every = { steps = 5 }, decay = 0.95, power = 3 }",
        "whiten={ images = 5_000, epsilon = 5e-4, bias = { epochs = 3 } }",
        "optimizer.sgd.norm={ rate_factor = 64, weight_decay = 1e-5 }",
        "clip_norm=1",
        "init=w.pth",
        "optimizer.sgd.decay_exclude=['bias']",
        "augment.train.1={ pca_color = { std = 0.1 } }",
        "augment.train.2.normalize={ mean = [0.1, 0.2, 0.3], std = [1, 2, 3] }",
        "schedule={ cosine = { start = 0.1, end = 0, warm_up = { shape = 'linear', from = 0.01, length = { epochs = 1 } } } }",
    ]);
    let plan = plan.unwrap();
    assert_eq!(Plan::from_toml(&plan.to_toml()).unwrap(), plan);
}

#[test]
fn a_damaged_plan_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    std::fs::write(
        &path,
        plan(&[])
            .unwrap()
            .to_toml()
            .replace("seed = 0", "seed = true"),
    )
    .unwrap();
    let error = Plan::read(&path).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let report = error
        .report()
        .to_string()
        .replace(&*folder.path().to_string_lossy(), "runs/my-s0");
    insta::assert_snapshot!(report, @r"
    error: cannot read plan `runs/my-s0/plan.toml`
      caused by: `seed`: expected a whole number, 0 or more, found `true`, line 8

    hint: restore `runs/my-s0/plan.toml` from a copy
    ");
}

#[test]
fn a_plan_reads_well() {
    let mut plan = plan(&["validation.images=5000", "length.epochs=10"]).unwrap();
    plan.provenance.commit = None;
    insta::assert_snapshot!(plan.to_toml());
}

#[test]
fn milestones_past_the_end_and_a_long_warm_up_are_noted() {
    let plan = plan(&[
        "length.steps=1000",
        "schedule.step.warm_up={ shape = 'linear', from = 0, length = { epochs = 5 } }",
    ]);
    let plan = plan.unwrap();
    insta::assert_snapshot!(plan.notes.join("\n"), @r"
    the warm-up of 1955 steps is cut to the run's 1000
    the milestone at step 32000 is past the end, step 1000
    the milestone at step 48000 is past the end, step 1000
    ");
    assert_eq!(plan.schedule.rate(500, Plateaus::default()), 0.05);
}

#[test]
fn validation_images_shorten_the_epoch() {
    let plan = plan(&["validation.images=5000", "length.epochs=2"]).unwrap();
    assert_eq!((plan.train_images, plan.validation_images), (45_000, 5_000));
    assert_eq!((plan.steps_per_epoch, plan.steps), (352, 704));
}

#[test]
fn only_what_changes_no_result_may_differ_on_resumption() {
    let before = plan(&["log.every=10"]).unwrap();
    let mut after = plan(&["optimizer.sgd.momentum=0.8", "clip_norm=1", "log.every=20"]).unwrap();
    after.workers += 1;
    after.threads += 1;
    after.provenance.kiln = "0.0.0".into();
    insta::assert_snapshot!(before.differences(&after).join("\n"), @r"
    `clip_norm` was absent, is `1.0`
    `optimizer.sgd.momentum` was `0.9`, is `0.8`
    ");
    insta::assert_snapshot!(before.provenance_differences(&after).join("\n"), @"`provenance.kiln` was `0.1.0`, is `0.0.0`");
}

/// What each dataset of the built-in recipes is, so that they can be planned without data.
fn facts(dataset: &Dataset) -> DatasetFacts {
    let Dataset::Name(name) = dataset else {
        panic!("a built-in recipe names its dataset, found {dataset:?}")
    };
    let (train_images, test_images, size) = match name.as_str() {
        "digits" => (1_198, 599, Size::new(1, 8, 8).into()),
        "mnist" => (60_000, 10_000, Size::new(1, 28, 28).into()),
        "cifar10" | "cifar100" => (50_000, 10_000, Size::new(3, 32, 32).into()),
        "imagenet" => (1_281_167, 50_000, Sizes::Any { channels: 3 }),
        other => panic!("add the facts of `{other}`"),
    };
    DatasetFacts {
        name: name.clone(),
        train_images,
        test_images: Some(test_images),
        size,
        ..cifar10()
    }
}

#[test]
fn every_built_in_recipe_plans_without_a_note() {
    let mut count = 0;
    for (path, text) in configs::embedded() {
        let read = read(text, &[])
            .unwrap_or_else(|error| panic!("{}: {}", path.display(), error.report()));
        let planned = Plan::new(&read, &facts(&read.recipe.dataset), &cpu());
        let plan = planned.unwrap_or_else(|error| panic!("{}: {}", path.display(), error.report()));
        assert_eq!(plan.notes, Vec::<String>::new(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 13, "found {count} recipes");
}

#[test]
fn every_built_in_recipe_has_a_whole_header() {
    for (path, text) in configs::embedded() {
        for heading in ["# Paper:", "# Run:", "# Cost:", "# Reaches:", "# Departs:"] {
            assert!(
                text.lines().any(|line| line.starts_with(heading)),
                "{} lacks `{heading}`",
                path.display()
            );
        }
        let run = format!("--config {}", path.display());
        assert!(
            text.contains(&run),
            "{} does not say `{run}`",
            path.display()
        );
    }
}

/// `triangle(476, start=0.2, end=0.07, peak=0.23)` of the author's program, times 1.5.
#[test]
fn the_fast_recipe_has_the_triangle_of_its_program() {
    let file = configs::find("cifar10-fast.toml").unwrap();
    let read = RecipeFile::read(&file, &[]).unwrap();
    let plan = Plan::new(&read, &cifar10(), &cpu()).unwrap();
    assert_eq!((plan.steps, plan.steps_per_epoch), (476, 48));
    for (step, expected) in [
        (0, 0.3),
        (1, 0.311_009_174_311_926_6),
        (109, 1.5),
        (110, 1.496_198_910_081_743_9),
        (475, 0.108_801_089_918_256_13),
    ] {
        let rate = plan.schedule.rate(step, Plateaus::default());
        assert!((rate - expected).abs() < 1e-12, "step {step}: {rate}");
    }
    assert_eq!(plan.lookahead.unwrap().every, 5);
}

#[test]
fn he_2015_is_to_the_letter_of_section_4_2() {
    for kind in ["plain", "resnet"] {
        for depth in [20, 32, 44, 56, 110] {
            let file = configs::find(&format!("he2015/{kind}{depth}.toml")).unwrap();
            let read = RecipeFile::read(&file, &[]).unwrap();
            let plan = Plan::new(&read, &cifar10(), &cpu()).unwrap();
            assert_eq!(
                (plan.name, plan.model.name),
                (format!("{kind}{depth}"), format!("{kind}{depth}"))
            );
            assert_eq!(
                (plan.batch, plan.steps, plan.initialization),
                (128, 64_000, Initialization::He)
            );
            let rates = [0, 399, 400, 31_999, 32_000, 47_999, 48_000, 63_999]
                .map(|step| plan.schedule.rate(step, Plateaus::default()));
            let first = if depth == 110 { 0.01 } else { 0.1 };
            assert_eq!(
                rates,
                [first, first, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001],
                "{kind}{depth}"
            );
        }
    }
}

#[test]
fn every_published_table_resolves() {
    let tables = targets::tables(None).unwrap();
    assert!(tables.len() >= 9, "found {} tables", tables.len());
    for table in &tables {
        assert_eq!(table.protocol[0].name, "full", "{}", table.name);
        assert!(table.protocol[0].departs.is_empty(), "{}", table.name);
        for effect in &table.effect {
            for name in [&effect.worse, &effect.better] {
                let is_there = table.experiment.iter().any(|row| row.name == *name);
                assert!(is_there, "{} has no {name}", table.name);
            }
        }
        for protocol in &table.protocol {
            let rows = table.rows(protocol, &[]).unwrap();
            assert!(!rows.is_empty(), "{}", table.name);
            for row in rows {
                let set = [protocol.set.clone(), row.set.clone()].concat();
                let file = RecipeFile::find(&row.recipe, &set, Some(1))
                    .unwrap_or_else(|error| panic!("{}: {}", row.name, error.report()));
                let plan = Plan::new(&file, &facts(&file.recipe.dataset), &cpu())
                    .unwrap_or_else(|error| panic!("{}: {}", row.name, error.report()));
                assert_eq!(plan.notes, Vec::<String>::new(), "{}", row.name);
            }
        }
    }
}
