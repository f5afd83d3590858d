# Dataset and labels -> trained model, one job per model and seed.
rule train:
    input:
        datasets=lambda w: PLAN.datasets(w.experiment, "train", "validation"),
        labels=lambda w: PLAN.labels(w.experiment, "train", "validation"),
        statistics=PLAN.patterns["statistics"],
    output:
        PLAN.patterns["model"],
    log:
        "logs/train/{experiment}/{model}-seed{seed}.log",
    benchmark:
        "logs/train/{experiment}/{model}-seed{seed}.tsv"
    conda:
        "../envs/train.yaml"
    threads: lambda w: PLAN.threads(w.experiment, w.model)
    resources:
        **needs("train", "datasets"),
        gpu=0 if PLAN.config.device == "cpu" else PLAN.config.devices,
    params:
        key=lambda w: PLAN.key("train", **w),
    shell:
        'python -m pipeline_lib train "$GYRE_EXPERIMENTS"/{wildcards.experiment}.yaml --model {wildcards.model} --seed {wildcards.seed}'
        " --datasets {input.datasets:q} --labels {input.labels:q} --statistics {input.statistics:q}"
        " --device $GYRE_DEVICE --devices $GYRE_DEVICES --threads {threads} --output {output:q} --log {log:q}"
