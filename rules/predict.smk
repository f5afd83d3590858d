# Trained model + dataset -> CF-compliant product, one job per month.
rule predict:
    input:
        model=PLAN.patterns["model"],
        dataset=lambda w: PLAN.dataset_of(w.experiment, w.period),
        before=lambda w: PLAN.datasets_before(w.experiment, w.period),
    output:
        PLAN.patterns["product"],
    log:
        "logs/predict/{experiment}/{model}-seed{seed}-{period}.log",
    benchmark:
        "logs/predict/{experiment}/{model}-seed{seed}-{period}.tsv"
    conda:
        "../envs/predict.yaml"
    threads: 2
    resources:
        **needs("predict", "dataset"),
    params:
        key=lambda w: PLAN.key("predict", **w),
        # Only the starts of the test may be thinned out.
        starts=lambda w: (
            "" if PLAN.is_tested(w.experiment, w.period) else "--every-start"
        ),
    shell:
        "python -m pipeline_lib predict --model {input.model:q} --dataset {input.dataset:q} --before {input.before:q}"
        " {params.starts}"
        " --device $GYRE_DEVICE --threads {threads} --output {output:q} --log {log:q}"
